using System.Text;
using FsCheck.Xunit;
using OrleansInference.Jobs;

namespace OrleansInference.Tests.Jobs;

public sealed class JobAddressTests
{
    private static readonly TenantId Acme = new("acme");

    [Property]
    public void An_address_is_found_again_in_its_key_and_in_the_location_of_its_objects(byte[] seed)
    {
        var bytes = new byte[16];
        seed.AsSpan(0, Math.Min(16, seed.Length)).CopyTo(bytes);
        var address = new JobAddress(Acme, JobAddress.IdOf(bytes));
        Assert.True(JobAddress.TryParse(address.Key, out var parsed));
        Assert.Equal(address, parsed);
        Assert.True(JobAddress.TryParse(address.InferenceId, out parsed));
        Assert.Equal(address, parsed);
        Assert.True(JobAddress.TryFind($"s3://bucket/some/path/{address.Prefix}answer", out parsed));
        Assert.Equal(address, parsed);
    }

    [Fact]
    public void A_key_gives_a_tenant_one_id_and_another_tenant_another()
    {
        Assert.Equal(JobAddress.IdOf(Acme, "k"), JobAddress.IdOf(Acme, "k"));
        Assert.NotEqual(JobAddress.IdOf(Acme, "k"), JobAddress.IdOf(new("umbrella"), "k"));
        Assert.NotEqual(JobAddress.IdOf(Acme, "k"), JobAddress.IdOf(Acme, "l"));
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("acme")]
    [InlineData("/aaaaaaaaaaaaaaaaaaaaaaaaaa")]
    [InlineData("acme/aaaa")]
    [InlineData("acme/AAAAAAAAAAAAAAAAAAAAAAAAAA")]
    [InlineData("acme/../aaaaaaaaaaaaaaaaaaaaaaaaaa")]
    [InlineData("a_b/aaaaaaaaaaaaaaaaaaaaaaaaaa")]
    public void What_is_no_address_is_not_taken_for_one(string? text) => Assert.False(JobAddress.TryParse(text, out _));

    [Fact]
    public void A_long_tenant_has_an_inference_id_of_legal_length()
    {
        var address = new JobAddress(new(new string('t', 63)), JobAddress.IdOf(new byte[16]));
        Assert.InRange(address.InferenceId.Length, 1, 64);
    }

    [Theory]
    [InlineData("""{"usage":{"input_tokens":7,"output_tokens":9,"service_ms":12.5}}""", 7L, 9L, 12.5)]
    [InlineData("""{"usage":{"prompt_tokens":7,"completion_tokens":9}}""", 7L, 9L, 0)]
    [InlineData("""{"usage":{"input_tokens":-1,"output_tokens":"9"}}""", null, null, 0)]
    [InlineData("""[1]""", null, null, 0)]
    [InlineData("""not json""", null, null, 0)]
    public void An_answers_use_is_read_where_it_is_told(string body, long? input, long? output, double service)
    {
        var bytes = Encoding.UTF8.GetBytes(body);
        Assert.Equal(new AnswerUse(bytes.Length, input, output, service), AnswerUse.Read(bytes));
    }
}
