using System.Text;

namespace OrleansInference.Aws.Signing;

/// <summary>
/// The canonical form of a request, as in "Create a canonical request" of the AWS Signature Version 4 documentation.
/// </summary>
internal static class CanonicalRequest
{
    public const string SignatureParameter = "X-Amz-Signature";

    /// <summary>S3 signs the path as the object's key is: encoded once and never normalised.</summary>
    private const string S3 = "s3";

    /// <summary>
    /// Appends the canonical request. <paramref name="signedHeaders"/> are lower-case names joined with semicolons.
    /// False if the request lacks a signed header, which <paramref name="missing"/> then names.
    /// </summary>
    public static bool TryAppend(
        ref Utf8Builder target,
        in SignedRequest request,
        ReadOnlySpan<char> signedHeaders,
        ReadOnlySpan<char> payloadHash,
        ReadOnlySpan<char> service,
        out string? missing)
    {
        target.Append(request.Method);
        target.Append((byte)'\n');
        AppendPath(ref target, request.Path, service.SequenceEqual(S3));
        target.Append((byte)'\n');
        AppendQuery(ref target, request.Query);
        target.Append((byte)'\n');
        foreach (var range in signedHeaders.Split(';'))
        {
            if (!TryAppendHeader(ref target, request.Headers, signedHeaders[range]))
            {
                missing = signedHeaders[range].ToString();
                return false;
            }
        }

        target.Append((byte)'\n');
        target.Append(signedHeaders);
        target.Append((byte)'\n');
        target.Append(payloadHash);
        missing = null;
        return true;
    }

    public static void AppendPath(ref Utf8Builder target, ReadOnlySpan<char> path, bool s3)
    {
        if (path.IsEmpty)
        {
            target.Append((byte)'/');
        }
        else if (s3)
        {
            target.AppendReencoded(path, keepSlash: true, plusIsSpace: false);
        }
        else if (path.IndexOf("/.", StringComparison.Ordinal) < 0 && path.IndexOf("//", StringComparison.Ordinal) < 0)
        {
            target.AppendEncoded(path, keepSlash: true);
        }
        else
        {
            target.AppendEncoded(Normalise(path), keepSlash: true);
        }
    }

    /// <summary>Resolves <c>.</c> and <c>..</c> and drops empty segments; a slash at the end stays.</summary>
    private static string Normalise(ReadOnlySpan<char> path)
    {
        var kept = new List<string>();
        foreach (var range in path.Split('/'))
        {
            switch (path[range])
            {
                case "" or ".":
                    break;
                case "..":
                    if (kept.Count > 0)
                    {
                        kept.RemoveAt(kept.Count - 1);
                    }

                    break;
                default:
                    kept.Add(path[range].ToString());
                    break;
            }
        }

        return kept.Count == 0 ? "/" : "/" + string.Join('/', kept) + (path[^1] == '/' ? "/" : "");
    }

    public static void AppendQuery(ref Utf8Builder target, ReadOnlySpan<char> query)
    {
        query = query.TrimStart('?');
        if (query.IsEmpty)
        {
            return;
        }

        var parameters = new List<(string Name, string Value)>();
        foreach (var range in query.Split('&'))
        {
            var parameter = query[range];
            if (parameter.IsEmpty)
            {
                continue;
            }

            var equals = parameter.IndexOf('=');
            var name = Reencode(equals < 0 ? parameter : parameter[..equals]);
            if (name != SignatureParameter)
            {
                parameters.Add((name, equals < 0 ? "" : Reencode(parameter[(equals + 1)..])));
            }
        }

        parameters.Sort(static (a, b) => string.CompareOrdinal(a.Name, b.Name) is var order and not 0 ? order : string.CompareOrdinal(a.Value, b.Value));
        for (var i = 0; i < parameters.Count; i++)
        {
            if (i > 0)
            {
                target.Append((byte)'&');
            }

            target.Append(parameters[i].Name);
            target.Append((byte)'=');
            target.Append(parameters[i].Value);
        }
    }

    public static string Encode(ReadOnlySpan<char> text)
    {
        using var target = new Utf8Builder(stackalloc byte[256]);
        target.AppendEncoded(text, keepSlash: false);
        return Encoding.ASCII.GetString(target.Written);
    }

    private static string Reencode(ReadOnlySpan<char> text)
    {
        using var target = new Utf8Builder(stackalloc byte[256]);
        target.AppendReencoded(text, keepSlash: false, plusIsSpace: true);
        return Encoding.ASCII.GetString(target.Written);
    }

    private static bool TryAppendHeader(ref Utf8Builder target, IReadOnlyList<KeyValuePair<string, string>> headers, ReadOnlySpan<char> name)
    {
        var found = false;
        for (var i = 0; i < headers.Count; i++)
        {
            if (!name.Equals(headers[i].Key, StringComparison.OrdinalIgnoreCase))
            {
                continue;
            }

            if (found)
            {
                target.Append((byte)',');
            }
            else
            {
                target.AppendLowerAscii(name);
                target.Append((byte)':');
                found = true;
            }

            target.AppendCollapsed(headers[i].Value);
        }

        target.Append((byte)'\n');
        return found;
    }
}
