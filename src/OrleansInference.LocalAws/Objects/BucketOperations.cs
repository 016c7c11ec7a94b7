using System.Text;
using System.Xml;
using System.Xml.Linq;
using OrleansInference.LocalAws.Storage;
using OrleansInference.LocalAws.Wire;

namespace OrleansInference.LocalAws.Objects;

/// <summary>CreateBucket, HeadBucket, DeleteBucket, ListBuckets, GetBucketLocation, PutBucketTagging, GetBucketTagging, DeleteObjects and ListObjectsV2.</summary>
internal sealed class BucketOperations(ObjectStore store, TagStore tags, LocalAwsOptions options)
{
    private const int MaxDeletes = 1000;

    public async Task HandleAsync(S3Request request, byte[] body)
    {
        switch (request.Wire.Method)
        {
            case "PUT" when request.Query.Count == 0 || request.Asks("x-id"):
                Create(request);
                break;
            case "HEAD":
                request.Response.Headers["x-amz-bucket-region"] = options.Region;
                break;
            case "DELETE" when request.Query.Count == 0 || request.Asks("x-id"):
                Delete(request);
                break;
            case "POST" when request.Asks("delete"):
                await DeleteObjectsAsync(request, body);
                break;
            case "PUT" when request.Asks("tagging"):
                Tag(request, body);
                break;
            case "GET" when request.Asks("tagging"):
                await TagsAsync(request);
                break;
            case "GET" when request.Asks("location"):
                await S3Xml.AnswerAsync(request.Response, "LocationConstraint", xml => xml.WriteString(options.Region == "us-east-1" ? "" : options.Region));
                break;
            case "GET" when request.Asks("acl"):
                await OwnerAsync(request);
                break;
            case "GET" when request.Parameter("list-type") == "2":
                await new ObjectListing(store, request).AnswerAsync();
                break;
            default:
                throw S3Surface.NotImplemented($"{request.Wire.Method} on a bucket with '{request.Wire.Query}'");
        }
    }

    public async Task ListAllAsync(S3Request request)
    {
        if (request.Wire.Method != "GET")
        {
            throw S3Surface.NotImplemented($"{request.Wire.Method} without a bucket");
        }

        await S3Xml.AnswerAsync(request.Response, "ListAllMyBucketsResult", xml =>
        {
            WriteOwner(xml);
            xml.WriteStartElement("Buckets");
            foreach (var (name, created) in store.Buckets())
            {
                xml.WriteStartElement("Bucket");
                xml.Element("Name", name);
                xml.Element("CreationDate", S3Xml.Time(created));
                xml.WriteEndElement();
            }

            xml.WriteEndElement();
        });
    }

    private static void WriteOwner(XmlWriter xml)
    {
        xml.WriteStartElement("Owner");
        xml.Element("ID", LocalAwsOptions.AccountId);
        xml.Element("DisplayName", "local");
        xml.WriteEndElement();
    }

    // Some SDKs ask for the access list to find out whether a bucket exists.
    private static Task OwnerAsync(S3Request request) => S3Xml.AnswerAsync(request.Response, "AccessControlPolicy", xml =>
    {
        WriteOwner(xml);
        xml.WriteStartElement("AccessControlList");
        xml.WriteEndElement();
    });

    private static bool IsBucketName(string name) => name.Length is >= 3 and <= 63 && name.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c is '-' or '.')
        && char.IsAsciiLetterOrDigit(name[0]) && char.IsAsciiLetterOrDigit(name[^1]);

    private void Create(S3Request request)
    {
        if (!IsBucketName(request.Bucket))
        {
            throw new AwsFault(400, "InvalidBucketName", $"The specified bucket is not valid: '{request.Bucket}' must be 3 to 63 lower-case letters, digits, hyphens and dots.");
        }

        // In us-east-1, creating a bucket of one's own again is harmless; elsewhere it is an error.
        if (!store.CreateBucket(request.Bucket) && options.Region != "us-east-1")
        {
            throw new AwsFault(409, "BucketAlreadyOwnedByYou", "Your previous request to create the named bucket succeeded and you already own it.");
        }

        request.Response.Headers.Location = "/" + request.Bucket;
    }

    private void Delete(S3Request request)
    {
        if (!store.DeleteBucket(request.Bucket))
        {
            throw new AwsFault(409, "BucketNotEmpty", "The bucket you tried to delete is not empty.");
        }

        tags.Remove(request.Bucket);
        request.Response.StatusCode = 204;
    }

    private void Tag(S3Request request, byte[] body)
    {
        if (!store.HasBucket(request.Bucket))
        {
            throw new AwsFault(404, "NoSuchBucket", $"The specified bucket does not exist: {request.Bucket}");
        }

        try
        {
            var set = XDocument.Parse(Encoding.UTF8.GetString(body)).Descendants().Where(static e => e.Name.LocalName == "Tag");
            tags.Replace(request.Bucket, set.ToDictionary(static tag => Member(tag, "Key"), static tag => Member(tag, "Value"), StringComparer.Ordinal));
        }
        catch (Exception exception) when (exception is XmlException or InvalidOperationException or ArgumentException)
        {
            throw new AwsFault(400, "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema.");
        }

        request.Response.StatusCode = 204;

        static string Member(XElement tag, string name) => tag.Elements().First(e => e.Name.LocalName == name).Value;
    }

    private async Task TagsAsync(S3Request request)
    {
        var found = tags.Find(request.Bucket);
        if (found.Count == 0)
        {
            throw new AwsFault(404, "NoSuchTagSet", "The TagSet does not exist");
        }

        await S3Xml.AnswerAsync(request.Response, "Tagging", xml =>
        {
            xml.WriteStartElement("TagSet");
            foreach (var (key, value) in found)
            {
                xml.WriteStartElement("Tag");
                xml.Element("Key", key);
                xml.Element("Value", value);
                xml.WriteEndElement();
            }

            xml.WriteEndElement();
        });
    }

    private async Task DeleteObjectsAsync(S3Request request, byte[] body)
    {
        List<string> keys;
        bool quiet;
        try
        {
            var root = XDocument.Parse(Encoding.UTF8.GetString(body)).Root!;
            keys = root.Elements().Where(e => e.Name.LocalName == "Object").Select(o => o.Elements().First(e => e.Name.LocalName == "Key").Value).ToList();
            quiet = root.Elements().Any(e => e.Name.LocalName == "Quiet" && e.Value == "true");
        }
        catch (Exception exception) when (exception is XmlException or InvalidOperationException)
        {
            throw new AwsFault(400, "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema.");
        }

        if (keys.Count is 0 or > MaxDeletes)
        {
            throw new AwsFault(400, "MalformedXML", $"1 to {MaxDeletes} keys can be deleted at once.");
        }

        keys.ForEach(key => store.Delete(request.Bucket, key));
        await S3Xml.AnswerAsync(request.Response, "DeleteResult", xml =>
        {
            foreach (var key in quiet ? [] : keys)
            {
                xml.WriteStartElement("Deleted");
                xml.Element("Key", key);
                xml.WriteEndElement();
            }
        });
    }
}
