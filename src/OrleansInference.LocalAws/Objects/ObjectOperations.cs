using System.Globalization;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Net.Http.Headers;
using OrleansInference.LocalAws.Wire;

namespace OrleansInference.LocalAws.Objects;

/// <summary>PutObject, GetObject, HeadObject and DeleteObject.</summary>
internal sealed class ObjectOperations(ObjectStore store)
{
    private const long MaxObject = 5L << 30;
    private const string ChecksumPrefix = "x-amz-checksum-";

    // Sent back as they came.
    private static readonly string[] Kept = ["Content-Type", "Cache-Control", "Content-Disposition", "Content-Language", "Expires"];

    public async Task PutAsync(S3Request request, CancellationToken cancellationToken)
    {
        if (request.Asks("uploadId") || request.Asks("acl") || request.Asks("tagging") || request.Header("x-amz-copy-source") is not null)
        {
            throw S3Surface.NotImplemented("this form of PUT on an object (multipart uploads, copies, tags, access lists)");
        }

        request.Wire.Http.Features.Get<IHttpMaxRequestBodySizeFeature>()!.MaxRequestBodySize = null;
        var source = request.Wire.Http.Request.Body;
        var chunked = IsChunked(request) ? new AwsChunkedStream(source) : null;
        var body = await ObjectBody.ReadAsync(chunked ?? source, MaxObject, store.Files, cancellationToken)
            ?? throw new AwsFault(400, "EntityTooLarge", $"Your proposed upload exceeds the maximum allowed size of {MaxObject} bytes.");
        try
        {
            request.Wire.CheckSignature(request.Wire.SignatureCoversBody ? body.Sha256 : [], AuthenticationDialect.S3);
            var headers = Headers(request, chunked);
            Check(request, chunked, body, headers);
            var entry = store.Put(request.Bucket, request.Key, body, headers);
            request.Response.Headers.ETag = entry.ETag;
            foreach (var (name, value) in headers.Where(h => h.Key.StartsWith(ChecksumPrefix, StringComparison.Ordinal)))
            {
                request.Response.Headers[name] = value;
            }
        }
        catch (AwsFault)
        {
            body.Drop(store.Files);
            throw;
        }
    }

    public async Task HandleAsync(S3Request request, CancellationToken cancellationToken)
    {
        if (request.Asks("uploads") || request.Asks("uploadId") || request.Asks("tagging") || request.Asks("acl") || request.Asks("attributes") || request.Asks("versionId"))
        {
            throw S3Surface.NotImplemented("multipart uploads, tags, access lists, attributes and versions of objects");
        }

        switch (request.Wire.Method)
        {
            case "GET":
                await GetAsync(request, cancellationToken);
                break;
            case "HEAD":
                var found = store.Find(request.Bucket, request.Key) ?? throw NoSuchKey(request);
                WriteHeaders(request, found, range: null);
                break;
            case "DELETE":
                store.Delete(request.Bucket, request.Key);
                request.Response.StatusCode = 204;
                break;
            default:
                throw new AwsFault(405, "MethodNotAllowed", "The specified method is not allowed against this resource.");
        }
    }

    private static AwsFault NoSuchKey(S3Request request) => new(404, "NoSuchKey", $"The specified key does not exist: {request.Key}");

    private static bool IsChunked(S3Request request) =>
        request.Header("x-amz-content-sha256")?.StartsWith("STREAMING-", StringComparison.Ordinal) == true
        || request.Header("Content-Encoding")?.Contains("aws-chunked", StringComparison.OrdinalIgnoreCase) == true;

    private static Dictionary<string, string> Headers(S3Request request, AwsChunkedStream? chunked)
    {
        var headers = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        foreach (var name in Kept)
        {
            if (request.Header(name) is { Length: > 0 } value)
            {
                headers[name] = value;
            }
        }

        foreach (var (name, value) in request.Wire.Http.Request.Headers)
        {
            var lower = name.ToLowerInvariant();
            if (lower.StartsWith("x-amz-meta-", StringComparison.Ordinal) || (lower.StartsWith(ChecksumPrefix, StringComparison.Ordinal) && lower is not "x-amz-checksum-algorithm" and not "x-amz-checksum-mode" and not "x-amz-checksum-type"))
            {
                headers[lower] = value.ToString();
            }
        }

        foreach (var (name, value) in chunked?.Trailers ?? [])
        {
            if (name.StartsWith(ChecksumPrefix, StringComparison.OrdinalIgnoreCase))
            {
                headers[name.ToLowerInvariant()] = value;
            }
        }

        var encodings = (request.Header("Content-Encoding") ?? "").Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).Where(e => e != "aws-chunked").ToList();
        if (encodings.Count > 0)
        {
            headers["Content-Encoding"] = string.Join(", ", encodings);
        }

        return headers;
    }

    private static void Check(S3Request request, AwsChunkedStream? chunked, ObjectBody body, Dictionary<string, string> headers)
    {
        if (chunked is not null && request.Header("x-amz-decoded-content-length") is { } stated && stated != body.Size.ToString(CultureInfo.InvariantCulture))
        {
            throw new AwsFault(400, "IncompleteBody", $"You provided {body.Size} bytes where x-amz-decoded-content-length says {stated}.");
        }

        if (request.Header("Content-MD5") is { } md5 && md5 != Convert.ToBase64String(body.Md5))
        {
            throw new AwsFault(400, "BadDigest", "The Content-MD5 you specified did not match what we received.");
        }

        CheckSum("crc32", body.Crc32);
        CheckSum("sha256", body.Sha256);

        void CheckSum(string name, byte[] received)
        {
            if (headers.TryGetValue(ChecksumPrefix + name, out var sent) && sent != Convert.ToBase64String(received))
            {
                throw new AwsFault(400, "BadDigest", $"The {name} you specified did not match the calculated checksum.");
            }
        }
    }

    private static void WriteHeaders(S3Request request, ObjectEntry entry, (long From, long To)? range)
    {
        var response = request.Response;
        var modified = DateTimeOffset.FromUnixTimeMilliseconds(entry.Modified);
        response.Headers.ETag = entry.ETag;
        response.Headers.LastModified = HeaderUtilities.FormatDate(modified);
        response.Headers.AcceptRanges = "bytes";
        foreach (var (name, value) in entry.Headers)
        {
            // A checksum is of the whole object: with a part of it, clients would find it wrong.
            if (!name.StartsWith(ChecksumPrefix, StringComparison.Ordinal) || (range is null && request.Header("x-amz-checksum-mode") == "ENABLED"))
            {
                response.Headers[name] = value;
            }
        }

        response.ContentType ??= "binary/octet-stream";
        if (Matches(request.Header("If-None-Match"), entry.ETag))
        {
            throw new AwsFault(304, "NotModified", "Not modified");
        }

        if (request.Header("If-Match") is { } wanted && !Matches(wanted, entry.ETag))
        {
            throw new AwsFault(412, "PreconditionFailed", "At least one of the preconditions you specified did not hold.");
        }

        if (range is { } part)
        {
            response.StatusCode = 206;
            response.Headers.ContentRange = $"bytes {part.From}-{part.To}/{entry.Size}";
        }

        response.ContentLength = range is { } some ? some.To - some.From + 1 : entry.Size;
    }

    private static bool Matches(string? condition, string etag) => condition is not null && (condition == "*" || condition.Trim('"') == etag.Trim('"'));

    private static (long From, long To)? Range(string? header, long size)
    {
        if (header is null || !RangeHeaderValue.TryParse(header, out var parsed) || parsed.Ranges.Count != 1)
        {
            return null;
        }

        var range = parsed.Ranges.Single();
        var from = range.From ?? Math.Max(0, size - range.To!.Value);
        var to = range.From is null ? size - 1 : Math.Min(range.To ?? (size - 1), size - 1);
        return from < size && from <= to ? (from, to) : throw new AwsFault(416, "InvalidRange", "The requested range is not satisfiable.");
    }

    private async Task GetAsync(S3Request request, CancellationToken cancellationToken)
    {
        var (entry, body) = store.Open(request.Bucket, request.Key) ?? throw NoSuchKey(request);
        await using (body)
        {
            var range = Range(request.Header("Range"), entry.Size);
            WriteHeaders(request, entry, range);
            body.Position = range?.From ?? 0;
            await CopyAsync(body, request.Response, request.Response.ContentLength!.Value, cancellationToken);
        }
    }

    private static async Task CopyAsync(Stream body, HttpResponse response, long left, CancellationToken cancellationToken)
    {
        while (left > 0)
        {
            var target = response.BodyWriter.GetMemory(16 << 10);
            var read = await body.ReadAsync(target[..(int)Math.Min(target.Length, left)], cancellationToken);
            if (read == 0)
            {
                throw new EndOfStreamException("An object's body is shorter than recorded.");
            }

            response.BodyWriter.Advance(read);
            left -= read;
            await response.BodyWriter.FlushAsync(cancellationToken);
        }
    }
}
