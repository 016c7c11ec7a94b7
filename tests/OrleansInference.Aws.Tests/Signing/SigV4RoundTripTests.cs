using FsCheck;
using FsCheck.Fluent;
using FsCheck.Xunit;
using OrleansInference.Aws.Signing;
using static OrleansInference.Tests.Signing.SignedSample;

namespace OrleansInference.Tests.Signing;

public sealed class SigV4RoundTripTests
{
    [Property(Arbitrary = [typeof(Requests)])]
    public void What_is_signed_verifies(Sample sample, byte[] body)
    {
        var request = Signed(sample.Request, body, sample.Credentials, sample.Service);
        Assert.Equal(default, Verify(request, body));
        Assert.NotEqual(SigV4Result.Valid, Verify(request, [.. body, 0]).Result);
    }

    [Property(Arbitrary = [typeof(Requests)])]
    public void What_is_presigned_verifies(Sample sample, PositiveInt seconds)
    {
        var headers = Headers("Host:example.com");
        var expiry = TimeSpan.FromSeconds(seconds.Get);
        var payload = sample.Service == "s3" ? PayloadHash.Unsigned : PayloadHash.Empty;
        var query = new SigV4Signer("us-east-1", sample.Service).Presign(sample.Request with { Headers = headers }, payload, sample.Credentials, Time, expiry);
        var request = new SignedRequest(sample.Request.Method, sample.Request.Path, query, headers);

        Assert.Equal(default, Verify(request, [], Time + expiry));
        Assert.Equal(SigV4Result.RequestExpired, Verify(request, [], Time + expiry + TimeSpan.FromSeconds(1)).Result);
    }

    /// <summary>The canonical path and query against a slow model built on <see cref="Uri"/>.</summary>
    [Property(Arbitrary = [typeof(Requests)])]
    public void Canonical_path_and_query_are_the_models(Sample sample)
    {
        var path = new Utf8Builder(stackalloc byte[4]);
        CanonicalRequest.AppendPath(ref path, sample.Request.Path, sample.Service == "s3");
        var query = new Utf8Builder(stackalloc byte[4]);
        CanonicalRequest.AppendQuery(ref query, sample.Request.Query);

        Assert.Equal(PathModel(sample.Request.Path, sample.Service), System.Text.Encoding.UTF8.GetString(path.Written));
        Assert.Equal(QueryModel(sample.Request.Query), System.Text.Encoding.UTF8.GetString(query.Written));
    }

    private static string PathModel(string path, string service)
    {
        if (service == "s3")
        {
            return string.Join('/', path.Split('/').Select(s => Uri.EscapeDataString(Uri.UnescapeDataString(s))));
        }

        var stack = new Stack<string>();
        foreach (var segment in path.Split('/').Where(s => s is not ("" or ".")))
        {
            if (segment != "..")
            {
                stack.Push(Uri.EscapeDataString(segment));
            }
            else if (stack.Count > 0)
            {
                stack.Pop();
            }
        }

        return stack.Count == 0 ? "/" : "/" + string.Join('/', stack.Reverse()) + (path.EndsWith('/') ? "/" : "");
    }

    private static string QueryModel(string query) => string.Join('&', query.Split('&', StringSplitOptions.RemoveEmptyEntries)
        .Select(p => (p + "=").Split('='))
        .Select(p => (Name: Encode(p[0]), Value: Encode(p[1])))
        .OrderBy(p => p.Name, StringComparer.Ordinal).ThenBy(p => p.Value, StringComparer.Ordinal)
        .Select(p => $"{p.Name}={p.Value}"));

    private static string Encode(string text) => Uri.EscapeDataString(Uri.UnescapeDataString(text.Replace('+', ' ')));

    /// <summary>A request to sign.</summary>
    public sealed record Sample(SignedRequest Request, SigV4Credentials Credentials, string Service);

    private static class Requests
    {
        public static Arbitrary<Sample> Samples()
        {
            var token = Gen.Elements("a", "B", "7", "-", "_", "~", "%20", "%2F", "%E1%88%B4", "ሴ", "$", "!", "*", "(", "'", "@", ":", ",");
            var word = token.ListOf().Select(string.Concat);
            var segment = Gen.Frequency((6, word), (1, Gen.Constant(".")), (1, Gen.Constant("..")), (1, Gen.Constant("")));
            var path = segment.ListOf().Select(s => "/" + string.Join('/', s));
            var parameter = Gen.Zip(word, Gen.Frequency((3, word.Select(w => "=" + w)), (1, Gen.Constant("=+")), (1, Gen.Constant(""))), (n, v) => n + v)
                .Where(p => !p.StartsWith('='));
            var query = parameter.ListOf().Select(p => string.Join('&', p));
            var value = Gen.Elements("", " ", "  a  b ", "x", "y\tz", "ü").ListOf().Select(string.Concat);
            var header = Gen.Zip(Gen.Elements("My-Header1", "my-header2", "X-Amz-Meta-C", "Content-Type"), value, (n, v) => new KeyValuePair<string, string>(n, v));
            var credentials = Gen.Elements(Credentials, new("AKID/with/slashes", Secret), Credentials with { SessionToken = "t/+=" });
            return Arb.From(
                from method in Gen.Elements("GET", "POST", "PUT")
                from p in path
                from q in query
                from h in header.ListOf()
                from c in credentials
                from service in Gen.Elements("sagemaker", "s3")
                select new Sample(new(method, p, q, [new("Host", "example.com"), new("X-Amz-Date", "20150830T123600Z"), .. h]), c, service));
        }
    }
}
