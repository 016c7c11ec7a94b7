using System.Globalization;
using System.Text;
using System.Xml;

namespace OrleansInference.LocalAws.Objects;

/// <summary>Answers of S3 in XML.</summary>
internal static class S3Xml
{
    public const string Namespace = "http://s3.amazonaws.com/doc/2006-03-01/";

    public static async Task AnswerAsync(HttpResponse response, string root, Action<XmlWriter> write, int status = 200, string? xmlNamespace = Namespace)
    {
        using var body = new MemoryStream();
        // Keys may hold characters that XML 1.0 cannot; clients that have such keys ask for encoding-type=url.
        using (var xml = XmlWriter.Create(body, new() { Encoding = new UTF8Encoding(false), CheckCharacters = false }))
        {
            xml.WriteStartElement(root, xmlNamespace);
            write(xml);
            xml.WriteEndElement();
        }

        response.StatusCode = status;
        response.ContentType = "application/xml";
        response.ContentLength = body.Length;
        if (response.HttpContext.Request.Method != "HEAD")
        {
            await response.Body.WriteAsync(body.GetBuffer().AsMemory(0, (int)body.Length));
        }
    }

    public static void Element(this XmlWriter xml, string name, string? value)
    {
        if (value is not null)
        {
            xml.WriteElementString(name, value);
        }
    }

    public static string Time(long unixMilliseconds) =>
        DateTimeOffset.FromUnixTimeMilliseconds(unixMilliseconds).ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture);
}
