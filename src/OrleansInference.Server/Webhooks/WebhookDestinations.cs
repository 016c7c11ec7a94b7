using System.Net;

namespace OrleansInference.Webhooks;

/// <summary>
/// Where webhooks may go: over https to public addresses, and to what the operator allows beyond that. An allowed name is reached at
/// whatever address it has; an allowed network under whatever name.
/// </summary>
public sealed class WebhookDestinations
{
    /// <summary>The most characters of a webhook's URL.</summary>
    public const int MaxUrl = 2048;

    /// <summary>How an entry of the allowed is written.</summary>
    public const string EntryRule = "an entry is a host's name, an address, or a network such as 10.1.0.0/16; http:// before it allows it without TLS too";

    private const string Http = "http://";

    private readonly List<(string? Host, IPNetwork? Network, bool Plain)> _allowed = [];

    /// <summary>Public addresses over https alone.</summary>
    public static WebhookDestinations PublicOnly { get; } = new([]);

    /// <summary>Creates the rule.</summary>
    /// <param name="allowed">Hosts and networks that are allowed besides public addresses: see <see cref="EntryRule"/>.</param>
    /// <exception cref="FormatException">An entry is none.</exception>
    public WebhookDestinations(IEnumerable<string> allowed)
    {
        ArgumentNullException.ThrowIfNull(allowed);
        foreach (var entry in allowed)
        {
            if (!TryParse(entry, out var parsed))
            {
                throw new FormatException($"'{entry}' allows nothing: {EntryRule}.");
            }

            _allowed.Add(parsed);
        }
    }

    /// <summary>Whether <paramref name="entry"/> is one.</summary>
    public static bool IsEntry(string entry) => TryParse(entry, out _);

    /// <summary>Why a URL cannot be a webhook's, as far as that can be said before its name is resolved; null if it may.</summary>
    public string? FindProblem(string url)
    {
        ArgumentNullException.ThrowIfNull(url);
        if (url.Length > MaxUrl || !Uri.TryCreate(url, UriKind.Absolute, out var address) || (address.Scheme is not ("https" or "http")) || address.Host.Length == 0)
        {
            return $"A webhook is an absolute https address of at most {MaxUrl} characters.";
        }

        if (address.UserInfo.Length > 0 || address.Fragment.Length > 0)
        {
            return "A webhook's address has no user name, password or fragment.";
        }

        var isSecure = address.Scheme == "https";
        if (IPAddress.TryParse(address.IdnHost, out var literal))
        {
            return MayConnect(isSecure, address.IdnHost, literal) ? null : isSecure || !IsAllowed(address.IdnHost, literal, plain: false)
                ? $"A webhook goes to a public address; {literal} is none."
                : "A webhook's address begins with https://.";
        }

        // What a name stands for is seen when it is connected to.
        return isSecure || _allowed.Any(entry => entry.Plain && (entry.Network is not null || IsHost(entry.Host, address.IdnHost)))
            ? null
            : "A webhook's address begins with https://.";
    }

    /// <summary>Whether a connection may be made.</summary>
    /// <param name="isSecure">Whether it will speak TLS.</param>
    /// <param name="host">The name in the URL.</param>
    /// <param name="address">The address that is about to be connected to.</param>
    public bool MayConnect(bool isSecure, string host, IPAddress address)
    {
        ArgumentNullException.ThrowIfNull(host);
        ArgumentNullException.ThrowIfNull(address);
        return (isSecure && PublicAddress.IsPublic(address)) || IsAllowed(host, address, plain: !isSecure);
    }

    private bool IsAllowed(string host, IPAddress address, bool plain)
    {
        var meant = PublicAddress.Plain(address);
        return _allowed.Any(entry => (entry.Plain || !plain) && (entry.Network is { } network ? meant is not null && network.Contains(meant) : IsHost(entry.Host, host)));
    }

    private static bool IsHost(string? allowed, string host) => string.Equals(allowed, host.TrimEnd('.'), StringComparison.OrdinalIgnoreCase);

    private static bool TryParse(string entry, out (string? Host, IPNetwork? Network, bool Plain) parsed)
    {
        ArgumentNullException.ThrowIfNull(entry);
        var plain = entry.StartsWith(Http, StringComparison.OrdinalIgnoreCase);
        var text = plain ? entry[Http.Length..] : entry;
        parsed = default;
        if (IPAddress.TryParse(text, out var address))
        {
            parsed = (null, new IPNetwork(address, address.GetAddressBytes().Length * 8), plain);
        }
        else if (text.Contains('/', StringComparison.Ordinal))
        {
            if (!IPNetwork.TryParse(text, out var network))
            {
                return false;
            }

            parsed = (null, network, plain);
        }
        else if (Uri.CheckHostName(text) == UriHostNameType.Dns)
        {
            parsed = (text.TrimEnd('.'), null, plain);
        }
        else
        {
            return false;
        }

        return true;
    }
}
