using Microsoft.AspNetCore.WebUtilities;
using Microsoft.Extensions.Primitives;
using OrleansInference.LocalAws.Wire;

namespace OrleansInference.LocalAws.Objects;

/// <summary>A request of S3 with its bucket, key and query decoded.</summary>
internal sealed record S3Request(AwsRequest Wire, string Bucket, string Key, Dictionary<string, StringValues> Query)
{
    public HttpResponse Response => Wire.Http.Response;

    public bool Asks(string name) => Query.ContainsKey(name);

    public string? Parameter(string name) => Query.TryGetValue(name, out var value) ? value.ToString() : null;

    public string? Header(string name) => Wire.Header(name);
}

/// <summary>S3, path style. Takes whatever no other service takes.</summary>
internal sealed class S3Surface(ObjectStore store, BucketOperations buckets, ObjectOperations objects) : IAwsSurface
{
    private const int MaxKeyBytes = 1024;

    public bool Takes(AwsRequest request) => true;

    public async Task HandleAsync(AwsRequest request, CancellationToken cancellationToken)
    {
        request.RequireSignature(AuthenticationDialect.S3);
        var path = request.Path.TrimStart('/');
        var slash = path.IndexOf('/', StringComparison.Ordinal);
        var bucket = Uri.UnescapeDataString(slash < 0 ? path : path[..slash]);
        var key = slash < 0 ? "" : Uri.UnescapeDataString(path[(slash + 1)..]);
        if (System.Text.Encoding.UTF8.GetByteCount(key) > MaxKeyBytes)
        {
            throw new AwsFault(400, "KeyTooLongError", $"Your key is longer than {MaxKeyBytes} bytes.");
        }

        var s3 = new S3Request(request, bucket, key, QueryHelpers.ParseQuery(request.Query));
        if (request.Method == "PUT" && key.Length > 0)
        {
            // The body of an object may be large: its signature is checked while it arrives.
            RequireBucket(bucket);
            await objects.PutAsync(s3, cancellationToken);
            return;
        }

        var body = await request.ReadBodyAsync(JsonWire.MaxBody, TooLarge, AuthenticationDialect.S3, cancellationToken);
        if (bucket.Length > 0 && !(request.Method == "PUT" && key.Length == 0))
        {
            RequireBucket(bucket);
        }

        await (bucket.Length == 0 ? buckets.ListAllAsync(s3) : key.Length == 0 ? buckets.HandleAsync(s3, body) : objects.HandleAsync(s3, cancellationToken));
    }

    public async Task WriteFaultAsync(HttpResponse response, AwsFault fault)
    {
        if (fault.Status == 304)
        {
            response.StatusCode = 304;
            return;
        }

        await S3Xml.AnswerAsync(
            response,
            "Error",
            xml =>
            {
                xml.Element("Code", fault.Code == "InternalFailure" ? "InternalError" : fault.Code);
                xml.Element("Message", fault.Message);
                xml.Element("Resource", response.HttpContext.Request.Path);
                xml.Element("RequestId", response.Headers["x-amzn-RequestId"].ToString());
            },
            fault.Status,
            xmlNamespace: null);
    }

    public static AwsFault NotImplemented(string what) => new(501, "NotImplemented", $"The embedded AWS does not implement {what}.");

    private static AwsFault TooLarge() => new(400, "MaxMessageLengthExceeded", "Your request was too big.");

    private void RequireBucket(string bucket)
    {
        if (!store.HasBucket(bucket))
        {
            throw new AwsFault(404, "NoSuchBucket", $"The specified bucket does not exist: {bucket}");
        }
    }
}
