using System.Security.Cryptography;
using OrleansInference.Aws.Signing;
using static OrleansInference.Tests.Signing.SignedSample;

namespace OrleansInference.Tests.Signing;

public sealed class SigV4VerifierTests
{
    private static readonly byte[] Body = Utf8("{\"prompt\": 1}");

    private static SignedRequest Sample(params string[] more) => Signed(Unsigned(more), Body);

    private static SignedRequest Unsigned(params string[] more) => SignedRequest.FromTarget("POST", "/endpoints/some%20model/invocations?b=%41&a=2",
        Headers(["Host:localhost:8080", "X-Amz-Date:20150830T123600Z", "Content-Type:application/json", .. more]));

    [Fact]
    public void Any_changed_character_of_what_is_signed_fails()
    {
        var sample = Sample("X-Amz-Content-Sha256:" + PayloadHash.Of(Body), "X-Amzn-SageMaker-Custom-Attributes:class=high");
        Assert.Equal(default, Verify(sample, Body));

        var forgeries = new List<(SignedRequest Request, byte[] Body)>();
        forgeries.AddRange(Changes(sample.Method).Select(m => (sample with { Method = m }, Body)));
        forgeries.AddRange(Changes(sample.Path).Select(p => (sample with { Path = p }, Body)));
        forgeries.AddRange(Changes(sample.Query).Select(q => (sample with { Query = q }, Body)));
        for (var i = 0; i < sample.Headers.Count; i++)
        {
            var (name, value) = sample.Headers[i];
            forgeries.AddRange(Changes(name).Select(n => (With(i, new(n, value)), Body)));
            forgeries.AddRange(Changes(value).Select(v => (With(i, new(name, v)), Body)));
        }

        for (var i = 0; i < Body.Length; i++)
        {
            var body = Body.ToArray();
            body[i] ^= 1;
            forgeries.Add((sample, body));
        }

        Assert.All(forgeries, forgery =>
        {
            // A changed access key id asks for another secret, which is the caller's to look up.
            if (!SigV4Verifier.TryParse(forgery.Request, out var claim, out _) || claim.AccessKeyId == Credentials.AccessKeyId)
            {
                Assert.NotEqual(SigV4Result.Valid, Verify(forgery.Request, forgery.Body).Result);
            }
        });
        Assert.True(forgeries.Count > 500);

        SignedRequest With(int index, KeyValuePair<string, string> header) =>
            sample with { Headers = [.. sample.Headers.Take(index), header, .. sample.Headers.Skip(index + 1)] };
    }

    private static IEnumerable<string> Changes(string text) =>
        text.Select((c, i) => string.Concat(text.AsSpan(0, i), c is 'q' or 'Q' ? "7" : "q", text.AsSpan(i + 1)));

    [Theory]
    [InlineData(null)]
    [InlineData("Bearer abc")]
    [InlineData("oi_key_1234")]
    public void Without_an_AWS_signature_it_is_missing(string? authorization)
    {
        var request = Unsigned(authorization is null ? [] : ["Authorization:" + authorization]);
        Assert.Equal(SigV4Result.MissingSignature, Verify(request, Body).Result);
    }

    [Theory]
    [InlineData("AWS4-ECDSA-P256-SHA256 Credential=A/20150830/us-east-1/s/aws4_request, SignedHeaders=host, Signature=00")]
    [InlineData("AWS4-HMAC-SHA256")]
    [InlineData("AWS4-HMAC-SHA256 ")]
    [InlineData("AWS4-HMAC-SHA256 Credential=AKID/20150830/us-east-1/service/aws4_request, SignedHeaders=host")]
    [InlineData("AWS4-HMAC-SHA256 Credential=AKID/20150830/us-east-1/service/aws4_request, Signature=0000000000000000000000000000000000000000000000000000000000000000")]
    [InlineData("AWS4-HMAC-SHA256 Credential=/20150830/us-east-1/service/aws4_request, SignedHeaders=host, Signature=0000000000000000000000000000000000000000000000000000000000000000")]
    [InlineData("AWS4-HMAC-SHA256 Credential=AKID/20150830/us-east-1/service, SignedHeaders=host, Signature=0000000000000000000000000000000000000000000000000000000000000000")]
    [InlineData("AWS4-HMAC-SHA256 Credential=AKID/20150830/us-east-1/service/aws3_request, SignedHeaders=host, Signature=0000000000000000000000000000000000000000000000000000000000000000")]
    [InlineData("AWS4-HMAC-SHA256 Credential=AKID/20150830/us-east-1/service/aws4_request, SignedHeaders=host, Signature=000000000000000000000000000000000000000000000000000000000000000G")]
    [InlineData("AWS4-HMAC-SHA256 Credential=AKID/20150830/us-east-1/service/aws4_request, SignedHeaders=host, Signature=0000")]
    [InlineData("AWS4-HMAC-SHA256 Credential=AKID/20150830/us-east-1/service/aws4_request, SignedHeaders=host, Extra=1, Signature=0000000000000000000000000000000000000000000000000000000000000000")]
    public void A_signature_that_breaks_its_form_is_incomplete(string authorization) =>
        Assert.Equal(SigV4Result.IncompleteSignature, Verify(Unsigned("Authorization:" + authorization), Body).Result);

    [Fact]
    public void A_signature_without_time_is_incomplete_and_the_Date_header_will_do()
    {
        var request = SignedRequest.FromTarget("GET", "/", Headers("Host:h", "Date:Sun, 30 Aug 2015 12:36:00 GMT"));
        var signed = Signed(request, []);
        Assert.Equal(default, Verify(signed, []));
        Assert.Equal(SigV4Result.IncompleteSignature, Verify(signed with { Headers = [.. signed.Headers.Where(h => h.Key != "Date")] }, []).Result);
    }

    [Theory]
    [InlineData("host", "Host")]
    [InlineData("x-amz-date", "X-Amz-Date")]
    public void Host_and_every_amz_header_must_be_signed(string name, string header)
    {
        var unsigned = Unsigned();
        var partly = Signed(unsigned with { Headers = [.. unsigned.Headers.Where(h => h.Key != header)] }, Body);
        var request = partly with { Headers = [.. partly.Headers, unsigned.Headers.Single(h => h.Key == header)] };

        var verification = Verify(request, Body);

        Assert.Equal(SigV4Result.IncompleteSignature, verification.Result);
        Assert.Contains($"'{name}'", verification.Message, StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public void What_a_caller_asks_for_must_be_signed()
    {
        var signed = Signed(Unsigned(), Body);
        var changed = signed with { Headers = [.. signed.Headers, new("X-Amzn-SageMaker-Custom-Attributes", "max-charge=0")] };

        var verification = Verify(changed, Body);

        Assert.Equal(SigV4Result.IncompleteSignature, verification.Result);
        Assert.Contains("'X-Amzn-SageMaker-Custom-Attributes'", verification.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Headers_added_on_the_way_do_no_harm()
    {
        var request = Sample();
        Assert.Equal(default, Verify(request with { Headers = [.. request.Headers, new("X-Forwarded-For", "10.0.0.1"), new("X-Amz-Cf-Id", "edge"), new("X-Amzn-Trace-Id", "Root=1")] }, Body));
        Assert.Equal(SigV4Result.IncompleteSignature, Verify(request with { Headers = [.. request.Headers, new("X-Amz-Meta", "1")] }, Body).Result);
        Assert.Equal(SigV4Result.SignatureDoesNotMatch, Verify(request with { Headers = [.. request.Headers, new("Content-Type", "text/plain")] }, Body).Result);
    }

    [Fact]
    public void A_missing_signed_header_is_named()
    {
        var request = Sample();
        var verification = Verify(request with { Headers = [.. request.Headers.Where(h => h.Key != "Content-Type")] }, Body);
        Assert.Equal(SigV4Result.SignatureDoesNotMatch, verification.Result);
        Assert.Contains("'content-type'", verification.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(-300, SigV4Result.Valid)]
    [InlineData(300, SigV4Result.Valid)]
    [InlineData(-301, SigV4Result.RequestExpired)]
    [InlineData(301, SigV4Result.RequestExpired)]
    public void Clocks_may_differ_by_five_minutes(int seconds, SigV4Result expected) =>
        Assert.Equal(expected, Verify(Sample(), Body, Time.AddSeconds(seconds)).Result);

    [Theory]
    [InlineData("sagemaker", null, SigV4Result.WrongScope)]
    [InlineData(null, "eu-west-1", SigV4Result.WrongScope)]
    [InlineData("service", "us-east-1", SigV4Result.Valid)]
    public void The_scope_must_be_the_expected_one(string? service, string? region, SigV4Result expected) =>
        Assert.Equal(expected, Verify(Sample(), Body, verifier: new() { Service = service, Region = region }).Result);

    [Fact]
    public void The_scopes_date_must_be_the_date_of_the_request()
    {
        var request = Sample();
        var forged = request.Headers[^1].Value.Replace("/20150830/", "/20150829/", StringComparison.Ordinal);
        Assert.Equal(SigV4Result.WrongScope, Verify(request with { Headers = [.. request.Headers.SkipLast(1), new("Authorization", forged)] }, Body).Result);
    }

    [Fact]
    public void Another_secret_does_not_match()
    {
        var verifier = new SigV4Verifier();
        var request = Sample();
        Assert.Equal(default, Verify(request, Body, verifier: verifier));
        Assert.Equal(SigV4Result.SignatureDoesNotMatch, Verify(request, Body, verifier: verifier, secret: "another").Result);
        Assert.Equal(default, Verify(request, Body, verifier: verifier));
    }

    [Fact]
    public void An_unsigned_body_is_taken_only_where_allowed()
    {
        var unsigned = Unsigned("X-Amz-Content-Sha256:UNSIGNED-PAYLOAD");
        var authorization = new SigV4Signer("us-east-1", "service").Authorize(unsigned, PayloadHash.Unsigned, Credentials, Time);
        var request = unsigned with { Headers = [.. unsigned.Headers, new("Authorization", authorization)] };

        Assert.True(SigV4Verifier.TryParse(request, out var claim, out _));
        Assert.False(claim.CoversBody);
        Assert.Equal(default, new SigV4Verifier().Verify(claim, Secret, request, [], Time));
        Assert.Equal(SigV4Result.IncompleteSignature, new SigV4Verifier { AllowUnsignedPayload = false }.Verify(claim, Secret, request, [], Time).Result);
    }

    [Theory]
    [InlineData("s3", SigV4Result.Valid)]
    [InlineData("sagemaker", SigV4Result.IncompleteSignature)]
    public void Bodies_signed_in_chunks_are_for_S3(string service, SigV4Result expected)
    {
        const string Declared = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
        var unsigned = Unsigned("X-Amz-Content-Sha256:" + Declared);
        var authorization = new SigV4Signer("us-east-1", service).Authorize(unsigned, Declared, Credentials, Time);
        Assert.Equal(expected, Verify(unsigned with { Headers = [.. unsigned.Headers, new("Authorization", authorization)] }, Body).Result);
    }

    [Fact]
    public void Verifying_a_covered_body_without_its_hash_is_a_mistake_of_the_caller()
    {
        var request = Sample();
        Assert.True(SigV4Verifier.TryParse(request, out var claim, out _));
        Assert.Throws<ArgumentException>(() => new SigV4Verifier().Verify(claim, Secret, request, [], Time));
        Assert.Equal(default, new SigV4Verifier().Verify(claim, Secret, request, SHA256.HashData(Body), Time));
    }

    [Fact]
    public void Remembered_keys_are_bounded_and_right()
    {
        var keys = new SigningKeys(capacity: 8);
        for (var i = 0; i < 100; i++)
        {
            var secret = $"secret{i}";
            var key = keys.Get(secret, "20150830", "us-east-1", "iam", out var remembered);
            Assert.False(remembered);
            keys.Remember(secret, "20150830", "us-east-1", "iam", key);
            Assert.Equal(key, keys.Get(secret, "20150830", "us-east-1", "iam", out remembered));
            Assert.True(remembered);
        }

        keys.Get("secret0", "20150830", "us-east-1", "iam", out var first);
        Assert.False(first);
    }

    [Fact]
    public void Credentials_do_not_print_their_secrets()
    {
        var text = new SigV4Credentials("AKID", "hush", "hush too").ToString();
        Assert.Contains("AKID", text, StringComparison.Ordinal);
        Assert.DoesNotContain("hush", text, StringComparison.Ordinal);
    }
}
