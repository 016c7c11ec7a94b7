using System.Globalization;
using System.Text;

namespace OrleansInference.LocalAws.Queues;

/// <summary>Names one receipt of one message.</summary>
internal static class ReceiptHandle
{
    public static string New(long messageId) => Convert.ToBase64String(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{messageId}:{Guid.NewGuid():N}")));

    public static bool TryParse(string handle, out long messageId)
    {
        messageId = 0;
        Span<byte> bytes = stackalloc byte[128];
        if (handle.Length > 160 || !Convert.TryFromBase64String(handle, bytes, out var length))
        {
            return false;
        }

        var parts = Encoding.ASCII.GetString(bytes[..length]).Split(':');
        return parts.Length == 2 && long.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out messageId);
    }
}
