using System.Net;
using OrleansInference.Webhooks;

namespace OrleansInference.Tests.Webhooks;

public sealed class WebhookDestinationsTests
{
    [Theory]
    [InlineData("0.0.0.0")]
    [InlineData("10.1.2.3")]
    [InlineData("100.64.0.1")]
    [InlineData("100.127.255.255")]
    [InlineData("127.0.0.1")]
    [InlineData("127.8.8.8")]
    [InlineData("169.254.169.254")]
    [InlineData("172.16.0.1")]
    [InlineData("172.31.255.255")]
    [InlineData("192.0.0.8")]
    [InlineData("192.0.2.1")]
    [InlineData("192.88.99.1")]
    [InlineData("192.168.1.1")]
    [InlineData("198.18.0.1")]
    [InlineData("198.51.100.7")]
    [InlineData("203.0.113.7")]
    [InlineData("224.0.0.1")]
    [InlineData("239.255.255.255")]
    [InlineData("255.255.255.255")]
    [InlineData("::")]
    [InlineData("::1")]
    [InlineData("::7f00:1")]
    [InlineData("::ffff:127.0.0.1")]
    [InlineData("::ffff:10.0.0.1")]
    [InlineData("::ffff:169.254.169.254")]
    [InlineData("64:ff9b::10.0.0.1")]
    [InlineData("64:ff9b::169.254.169.254")]
    [InlineData("64:ff9b:1::808:808")]
    [InlineData("100::1")]
    [InlineData("2001::1")]
    [InlineData("2001:db8::1")]
    [InlineData("2002:a00:1::1")]
    [InlineData("3fff::1")]
    [InlineData("fc00::1")]
    [InlineData("fd00:ec2::254")]
    [InlineData("fe80::1")]
    [InlineData("fe80::1%3")]
    [InlineData("fec0::1")]
    [InlineData("ff02::1")]
    public void What_is_set_aside_is_not_public(string address)
    {
        Assert.False(PublicAddress.IsPublic(IPAddress.Parse(address)));
        Assert.False(WebhookDestinations.PublicOnly.MayConnect(isSecure: true, "hooks.example.com", IPAddress.Parse(address)));
    }

    [Theory]
    [InlineData("8.8.8.8")]
    [InlineData("100.63.255.255")]
    [InlineData("100.128.0.1")]
    [InlineData("172.32.0.1")]
    [InlineData("223.255.255.254")]
    [InlineData("::ffff:8.8.8.8")]
    [InlineData("64:ff9b::8.8.8.8")]
    [InlineData("2606:4700:4700::1111")]
    [InlineData("2a00:1450:4001::1")]
    public void Anything_else_is_and_over_tls_alone(string address)
    {
        Assert.True(PublicAddress.IsPublic(IPAddress.Parse(address)));
        Assert.True(WebhookDestinations.PublicOnly.MayConnect(isSecure: true, "hooks.example.com", IPAddress.Parse(address)));
        Assert.False(WebhookDestinations.PublicOnly.MayConnect(isSecure: false, "hooks.example.com", IPAddress.Parse(address)));
    }

    [Theory]
    [InlineData("https://hooks.example.com/a?b=c", null)]
    [InlineData("https://8.8.8.8:8443/", null)]
    [InlineData("https://[2606:4700:4700::1111]/", null)]
    [InlineData("http://hooks.example.com/", "https://")]
    [InlineData("ftp://hooks.example.com/", "absolute https")]
    [InlineData("/relative", "absolute https")]
    [InlineData("https://user:secret@hooks.example.com/", "no user name")]
    [InlineData("https://hooks.example.com/#part", "no user name")]
    [InlineData("https://127.0.0.1/", "public")]
    [InlineData("https://[::1]/", "public")]
    [InlineData("https://2130706433/", "public")]
    [InlineData("https://0x7f.1/", "public")]
    [InlineData("https://[::ffff:10.0.0.1]/", "public")]
    public void A_url_is_judged_before_anything_is_resolved(string url, string? problem)
    {
        var found = WebhookDestinations.PublicOnly.FindProblem(url);
        Assert.Equal(problem is null, found is null);
        Assert.Contains(problem ?? "", found ?? "", StringComparison.Ordinal);
    }

    [Fact]
    public void The_operator_allows_names_and_networks_and_by_word_without_tls()
    {
        var rule = new WebhookDestinations(["hooks.internal", "10.1.0.0/16", "http://127.0.0.1", "http://dev.internal", "fd00::/8"]);
        Assert.True(rule.MayConnect(true, "hooks.internal", IPAddress.Parse("192.168.0.1")));
        Assert.True(rule.MayConnect(true, "HOOKS.internal.", IPAddress.Parse("192.168.0.1")));
        Assert.False(rule.MayConnect(false, "hooks.internal", IPAddress.Parse("192.168.0.1")));
        Assert.False(rule.MayConnect(true, "other.internal", IPAddress.Parse("192.168.0.1")));
        Assert.True(rule.MayConnect(true, "any", IPAddress.Parse("10.1.2.3")));
        Assert.True(rule.MayConnect(true, "any", IPAddress.Parse("::ffff:10.1.2.3")));
        Assert.False(rule.MayConnect(true, "any", IPAddress.Parse("10.2.0.1")));
        Assert.True(rule.MayConnect(true, "any", IPAddress.Parse("fd12::1")));
        Assert.True(rule.MayConnect(false, "127.0.0.1", IPAddress.Loopback));
        Assert.True(rule.MayConnect(false, "dev.internal", IPAddress.Parse("192.168.0.1")));
        Assert.Null(rule.FindProblem("http://127.0.0.1:99/x"));
        Assert.Null(rule.FindProblem("https://hooks.internal/"));
        Assert.Null(rule.FindProblem("http://dev.internal/"));
        Assert.NotNull(rule.FindProblem("https://127.0.0.2/"));
        Assert.Contains("https://", rule.FindProblem("http://10.1.2.3/")!, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("http://")]
    [InlineData("10.0.0.0/33")]
    [InlineData("https://hooks.internal")]
    [InlineData("hooks.internal:80")]
    [InlineData("*")]
    public void What_allows_nothing_is_no_entry(string entry)
    {
        Assert.False(WebhookDestinations.IsEntry(entry));
        Assert.Throws<FormatException>(() => new WebhookDestinations([entry]));
    }
}
