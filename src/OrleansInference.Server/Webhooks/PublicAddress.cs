using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;

namespace OrleansInference.Webhooks;

/// <summary>
/// Which addresses are anybody's on the Internet. By the special-purpose registries of IANA (RFC 6890 and its successors): whatever is set
/// aside there for a host, a link, a site, a provider, groups, or documentation is not, nor is an IPv6 address that stands for such an IPv4 one.
/// </summary>
public static class PublicAddress
{
    private static readonly IPNetwork[] SetAside =
    [
        .. ((string[])
        [
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24",
            "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",

            // Of the global unicast space: protocol assignments (Teredo among them), documentation, 6to4, which carries an IPv4 address of any kind.
            "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
        ]).Select(IPNetwork.Parse),
    ];

    private static readonly IPNetwork GlobalUnicast = IPNetwork.Parse("2000::/3");
    private static readonly IPNetwork Nat64 = IPNetwork.Parse("64:ff9b::/96");

    /// <summary>Whether the address is a public one.</summary>
    public static bool IsPublic(IPAddress address)
    {
        ArgumentNullException.ThrowIfNull(address);
        return Plain(address) is { } plain
            && (plain.AddressFamily == AddressFamily.InterNetwork || GlobalUnicast.Contains(plain))
            && !SetAside.Any(network => network.Contains(plain));
    }

    /// <summary>The address that is meant: the IPv4 address that an IPv6 one is mapped from or translated to; null for a family that is neither.</summary>
    public static IPAddress? Plain(IPAddress address)
    {
        ArgumentNullException.ThrowIfNull(address);
        if (address.AddressFamily == AddressFamily.InterNetwork)
        {
            return address;
        }

        if (address.AddressFamily != AddressFamily.InterNetworkV6)
        {
            return null;
        }

        if (address.IsIPv4MappedToIPv6)
        {
            return address.MapToIPv4();
        }

        // Without its scope, by which a network is not asked.
        var bare = address.ScopeId == 0 ? address : new IPAddress(address.GetAddressBytes());
        return Nat64.Contains(bare) ? new IPAddress(BinaryPrimitives.ReadUInt32LittleEndian(bare.GetAddressBytes().AsSpan(12))) : bare;
    }
}
