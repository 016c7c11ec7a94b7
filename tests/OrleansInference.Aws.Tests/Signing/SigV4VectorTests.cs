using OrleansInference.Aws.Signing;
using static OrleansInference.Tests.Signing.SignedSample;

namespace OrleansInference.Tests.Signing;

/// <summary>
/// The cases of AWS's published Signature Version 4 test suite, under their names there; <c>captured-*</c> cases were signed
/// with botocore 1.43 instead.
/// </summary>
public sealed class SigV4VectorTests
{
    private const string Unreserved = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

    public static TheoryData<string, string, string[], string, string> Vectors => new()
    {
        { "get-vanilla", "GET /", [], "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
        { "post-vanilla", "POST /", [], "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b" },
        { "get-header-key-duplicate", "GET /", ["My-Header1:value2", "My-Header1:value2", "My-Header1:value1"], "", "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea" },
        { "get-header-key-duplicate, joined", "GET /", ["My-Header1:value2,value2,value1"], "", "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea" },
        { "get-header-value-order", "GET /", ["My-Header1:value4", "My-Header1:value1", "My-Header1:value3", "My-Header1:value2"], "", "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01" },
        { "get-header-value-trim", "GET /", ["My-Header1: value1", "My-Header2: \"a   b   c\""], "", "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736" },
        { "post-header-key-sort", "POST /", ["My-Header1:value1"], "", "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c" },
        { "post-header-key-sort, name in capitals", "POST /", ["MY-HEADER1:value1"], "", "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c" },
        { "post-header-value-case", "POST /", ["My-Header1:VALUE1"], "", "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d" },
        { "get-unreserved", "GET /" + Unreserved, [], "", "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f" },
        { "get-utf8", "GET /ሴ", [], "", "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85" },
        { "get-space", "GET /example space/", [], "", "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741" },
        { "captured-percent-encoded", "GET /a%20b%2Fc/%E1%88%B4", [], "", "58e45b39b7779eddd6bf848c4ff42e5e5daa4ce8d5988fd484c9dc48a6780754" },
        { "get-special-character", "GET /example/$delete", [], "", "a853c9b21b528b19643d00910d35b83a10c366a10833ceefb45edd6c80e40f27" },
        { "get-relative", "GET /example/..", [], "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
        { "get-relative-relative", "GET /example1/example2/../..", [], "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
        { "get-slash", "GET //", [], "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
        { "get-slash-dot-slash", "GET /./", [], "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
        { "get-slash-pointless-dot", "GET /./example", [], "", "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5" },
        { "get-slashes", "GET //example//", [], "", "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84" },
        { "get-vanilla-query", "GET /?Param1=value1", [], "", "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb" },
        { "captured-query-without-value", "GET /?Param1=", [], "", "506693d22b79f51760ff2217fe207bb63f86e8f316bf6c217a3c65d33d15410a" },
        { "captured-query-without-value, no equals sign", "GET /?Param1", [], "", "506693d22b79f51760ff2217fe207bb63f86e8f316bf6c217a3c65d33d15410a" },
        { "get-vanilla-query-order-key-case", "GET /?Param2=value2&Param1=value1", [], "", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500" },
        { "get-vanilla-query-order-key", "GET /?Param1=value2&Param1=Value1", [], "", "eedbc4e291e521cf13422ffca22be7d2eb8146eecf653089df300a15b2382bd1" },
        { "get-vanilla-query-order-value", "GET /?Param1=value2&Param1=value1", [], "", "5772eed61e12b33fae39ee5e7012498b51d56abc0abb7c60486157bd471c4694" },
        { "get-vanilla-query-order-encoded", "GET /?Param-3=Value3&Param=Value2&%E1%88%B4=Value1", [], "", "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac" },
        { "get-vanilla-query-unreserved", $"GET /?{Unreserved}={Unreserved}", [], "", "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197" },
        { "get-vanilla-utf8-query", "GET /?ሴ=bar", [], "", "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04" },
        { "post-vanilla-query", "POST /?Param1=value1", [], "", "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11" },
        { "post-x-www-form-urlencoded", "POST /", ["Content-Type:application/x-www-form-urlencoded"], "Param1=value1", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a" },
        { "post-x-www-form-urlencoded-parameters", "POST /", ["Content-Type:application/x-www-form-urlencoded; charset=utf8"], "Param1=value1", "1a72ec8f64bd914b0e42e42607c7fbce7fb2c7465f63e3092b3b0d39fa77a6fe" },
        { "post-sts-header-after", "POST /", [], "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b" },
        { "captured-sts-token", "POST /", ["X-Amz-Security-Token:TOKEN/+=="], "", "b75645d348959f07c6edd65db66deb9ecdc294208fe28346709f3bf879fedd53" },
    };

    [Theory]
    [MemberData(nameof(Vectors))]
    public void Signer_and_verifier_agree_with_the_published_signature(string name, string line, string[] headers, string body, string signature)
    {
        var parts = line.Split(' ', 2);
        var unsigned = SignedRequest.FromTarget(parts[0], parts[1], Headers([.. headers, "Host:example.amazonaws.com", "X-Amz-Date:20150830T123600Z"]));

        var request = Signed(unsigned, Utf8(body));

        Assert.True(request.Headers[^1].Value.EndsWith($"Signature={signature}", StringComparison.Ordinal), $"{name}: {request.Headers[^1].Value}");
        Assert.Equal(default, Verify(request, Utf8(body)));
    }

    [Fact]
    public void S3_paths_are_neither_normalised_nor_encoded_twice()
    {
        var request = SignedRequest.FromTarget("PUT", "/bucket/a%20b//c/../d%2Be", Headers(
            "Host:example.amazonaws.com",
            "x-amz-meta-a:b",
            "X-Amz-Date:20150830T123600Z",
            "X-Amz-Content-SHA256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
            "Authorization:AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-meta-a, Signature=39a034285f1382458af00fac798d5b705dfc0e27e102b5b0c714d62c9d7032bc"));

        Assert.Equal(default, Verify(request, Utf8("hello")));
        Assert.Equal(SigV4Result.BodyHashMismatch, Verify(request, Utf8("hallo")).Result);
    }

    [Theory]
    [InlineData("/endpoints/m/invocations?b=2&a=1&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20150830%2Fus-east-1%2Fsagemaker%2Faws4_request&X-Amz-Date=20150830T123600Z&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Security-Token=TOKEN%2F%2B%3D%3D&X-Amz-Signature=8c1a15f0d5453b448d557200a1c7636067831ef461b6f291abebf38871ba840e", "TOKEN/+==")]
    [InlineData("/bucket/key%20x?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20150830%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20150830T123600Z&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Signature=8818e2e94dde5a7cedcaa45c6aeeee1a32da8fa20c9367dae6788f880fff08d0", null)]
    public void Requests_presigned_by_botocore_are_valid_until_they_expire(string target, string? token)
    {
        var request = SignedRequest.FromTarget("GET", target, Headers("Host:example.amazonaws.com"));

        Assert.True(SigV4Verifier.TryParse(request, out var claim, out _));
        Assert.True(claim.IsPresigned);
        Assert.Equal(token, claim.SessionToken);
        Assert.Equal(default, Verify(request, [], Time));
        Assert.Equal(default, Verify(request, [], Time.AddHours(1)));
        Assert.Equal(SigV4Result.RequestExpired, Verify(request, [], Time.AddHours(1).AddSeconds(1)).Result);
        Assert.Equal(SigV4Result.SignatureDoesNotMatch, Verify(request with { Path = "/other" }, []).Result);
        Assert.Equal(SigV4Result.SignatureDoesNotMatch, Verify(request with { Query = request.Query.Replace("3600", "3601", StringComparison.Ordinal) }, []).Result);
    }

    /// <summary>What botocore's SageMaker Runtime client sent, header by header.</summary>
    [Theory]
    [InlineData("invocations", "{\"prompt\":\"hello\"}", "Content-Type:application/json|X-Amzn-SageMaker-Custom-Attributes:class=high;deadline=2s", "content-type;host;x-amz-date;x-amzn-sagemaker-custom-attributes", "d6f1f84e3e619d84966e703e3829df95d3fc188d193befe41a99b444f321eab4")]
    [InlineData("async-invocations", "", "X-Amzn-SageMaker-InputLocation:s3://bucket/in.json|X-Amz-Security-Token:SESSIONTOKEN", "host;x-amz-date;x-amz-security-token;x-amzn-sagemaker-inputlocation", "a08abf3f6402538decd649e57c2da8a6d8add63f6d09bf414f3270079392f8ca")]
    [InlineData("invocations-response-stream", "{}", "X-Amzn-SageMaker-Accept:application/jsonlines", "host;x-amz-date;x-amzn-sagemaker-accept", "154f857a031200f8c06b69e3a78b3d1ffd0c6ad4bf2afe7a55b32ddbe349100a")]
    public void Calls_of_botocores_SageMaker_client_are_valid(string operation, string body, string headers, string signed, string signature)
    {
        var request = SignedRequest.FromTarget("POST", "/endpoints/llama-chat/" + operation, Headers(
        [
            "Host:127.0.0.1:8080", "User-Agent:Botocore/1.43.11", "amz-sdk-request:attempt=1", "X-Amz-Date:20251124T100000Z",
            .. headers.Split('|'),
            $"Authorization:AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20251124/eu-west-1/sagemaker/aws4_request, SignedHeaders={signed}, Signature={signature}",
        ]));
        var verifier = new SigV4Verifier { Service = "sagemaker", Region = "eu-west-1" };
        var now = new DateTimeOffset(2025, 11, 24, 10, 4, 59, TimeSpan.Zero);

        Assert.Equal(default, Verify(request, Utf8(body), now, verifier));
        Assert.Equal(default, Verify(request, Utf8(body), now, verifier));
        Assert.Equal(SigV4Result.SignatureDoesNotMatch, Verify(request, Utf8(body + " "), now, verifier).Result);
    }
}
