using OrleansInference.Webhooks;

namespace OrleansInference.Tests.Webhooks;

public sealed class WebhookSignatureTests
{
    // The example of the Standard Webhooks reference libraries.
    private const string Secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    private const string Id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    private const long Timestamp = 1614265330;
    private const string Signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    private static readonly byte[] Body = "{\"test\": 2432232314}"u8.ToArray();

    [Fact]
    public void A_message_is_signed_as_the_specification_s_own_example() => Assert.Equal(Signature, WebhookSignature.Sign([Secret], Id, Timestamp, Body));

    [Fact]
    public void During_a_rotation_there_is_a_signature_for_each_secret()
    {
        var other = WebhookSignature.ToSecret(new byte[WebhookSignature.KeyLength]);
        var both = WebhookSignature.Sign([other, Secret], Id, Timestamp, Body).Split(' ');
        Assert.Equal([WebhookSignature.Sign([other], Id, Timestamp, Body), Signature], both);
        Assert.NotEqual(both[0], both[1]);
    }

    [Fact]
    public void A_secret_gives_its_key_back()
    {
        byte[] key = [.. Enumerable.Range(0, WebhookSignature.KeyLength).Select(static i => (byte)i)];
        Assert.Equal(key, WebhookSignature.KeyOf(WebhookSignature.ToSecret(key)));
        Assert.Null(WebhookSignature.KeyOf("whsec_"));
        Assert.Null(WebhookSignature.KeyOf("whsec_AAAA"));
        Assert.Null(WebhookSignature.KeyOf("sk_" + Convert.ToBase64String(key)));
    }

    [Fact]
    public void An_id_that_could_be_taken_for_another_is_not_signed() => Assert.Throws<ArgumentException>(() => WebhookSignature.Sign([Secret], "a.1", Timestamp, Body));
}
