using System.Globalization;
using System.Text;
using OrleansInference.LocalAws.Wire;

namespace OrleansInference.LocalAws.Objects;

/// <summary>One answer of ListObjectsV2.</summary>
internal sealed class ObjectListing
{
    private const int MaxKeys = 1000;
    private readonly ObjectStore _store;
    private readonly S3Request _request;
    private readonly string _prefix;
    private readonly string? _delimiter;
    private readonly int _maxKeys;
    private readonly List<ObjectEntry> _objects = [];
    private readonly List<string> _commonPrefixes = [];
    private string? _next;

    public ObjectListing(ObjectStore store, S3Request request)
    {
        _store = store;
        _request = request;
        _prefix = request.Parameter("prefix") ?? "";
        _delimiter = request.Parameter("delimiter") is { Length: > 0 } delimiter ? delimiter : null;
        var maxKeys = request.Parameter("max-keys");
        _maxKeys = maxKeys is null ? MaxKeys
            : int.TryParse(maxKeys, NumberStyles.None, CultureInfo.InvariantCulture, out var most) ? Math.Min(most, MaxKeys)
            : throw new AwsFault(400, "InvalidArgument", $"max-keys must be a whole number, not '{maxKeys}'.");
    }

    public async Task AnswerAsync()
    {
        Collect();
        var url = _request.Parameter("encoding-type") == "url";
        await S3Xml.AnswerAsync(_request.Response, "ListBucketResult", xml =>
        {
            xml.Element("Name", _request.Bucket);
            xml.Element("Prefix", Text(_prefix));
            xml.Element("Delimiter", _delimiter is null ? null : Text(_delimiter));
            xml.Element("MaxKeys", _maxKeys.ToString(CultureInfo.InvariantCulture));
            xml.Element("EncodingType", url ? "url" : null);
            xml.Element("KeyCount", (_objects.Count + _commonPrefixes.Count).ToString(CultureInfo.InvariantCulture));
            xml.Element("StartAfter", _request.Parameter("start-after") is { } after ? Text(after) : null);
            xml.Element("ContinuationToken", _request.Parameter("continuation-token"));
            xml.Element("IsTruncated", _next is null ? "false" : "true");
            xml.Element("NextContinuationToken", _next is null ? null : Convert.ToBase64String(Encoding.UTF8.GetBytes(_next)));
            foreach (var entry in _objects)
            {
                xml.WriteStartElement("Contents");
                xml.Element("Key", Text(entry.Key));
                xml.Element("LastModified", S3Xml.Time(entry.Modified));
                xml.Element("ETag", entry.ETag);
                xml.Element("Size", entry.Size.ToString(CultureInfo.InvariantCulture));
                xml.Element("StorageClass", "STANDARD");
                xml.WriteEndElement();
            }

            foreach (var prefix in _commonPrefixes)
            {
                xml.WriteStartElement("CommonPrefixes");
                xml.Element("Prefix", Text(prefix));
                xml.WriteEndElement();
            }
        });

        string Text(string value) => url ? Uri.EscapeDataString(value).Replace("%2F", "/", StringComparison.Ordinal) : value;
    }

    // The least key that sorts behind every key beginning with the prefix: its last code point, plus one.
    private static string Behind(string prefix) => prefix[..^1] + (char)(prefix[^1] + 1);

    private void Collect()
    {
        // A token is the least key not yet listed.
        var (from, including) = Start();
        while (_maxKeys > 0)
        {
            var page = _store.Range(_request.Bucket, from, including, _maxKeys + 1);
            var skipped = false;
            foreach (var entry in page)
            {
                if (!entry.Key.StartsWith(_prefix, StringComparison.Ordinal))
                {
                    return;
                }

                if (_objects.Count + _commonPrefixes.Count == _maxKeys)
                {
                    _next = entry.Key;
                    return;
                }

                var end = _delimiter is null ? -1 : entry.Key.IndexOf(_delimiter, _prefix.Length, StringComparison.Ordinal);
                if (end < 0)
                {
                    _objects.Add(entry);
                    (from, including) = (entry.Key, false);
                    continue;
                }

                var common = entry.Key[..(end + _delimiter!.Length)];
                _commonPrefixes.Add(common);
                (from, including) = (Behind(common), true);
                skipped = true;
                break;
            }

            if (!skipped && page.Count <= _maxKeys)
            {
                return;
            }
        }
    }

    private (string From, bool Including) Start()
    {
        if (_request.Parameter("continuation-token") is { } token)
        {
            try
            {
                return (Encoding.UTF8.GetString(Convert.FromBase64String(token)), true);
            }
            catch (FormatException)
            {
                throw new AwsFault(400, "InvalidArgument", "The continuation token provided is incorrect.");
            }
        }

        var after = _request.Parameter("start-after") ?? "";
        return string.CompareOrdinal(after, _prefix) >= 0 && after.Length > 0 ? (after, false) : (_prefix, true);
    }
}
