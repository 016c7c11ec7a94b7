using System.Text;
using Orleans.Storage;

namespace OrleansInference.DynamoDB.Tests;

public sealed class CompressedStateSerializerTests
{
    private readonly CompressedStateSerializer _serializer = new(new Utf8(), 100_000);

    [Theory]
    [InlineData(0, false)]
    [InlineData(800, false)]
    [InlineData(50_000, true)]
    public void What_is_large_is_smaller_and_comes_back(int length, bool smaller)
    {
        var text = string.Concat(Enumerable.Range(0, length).Select(static i => (char)('a' + (i % 7))));
        var packed = _serializer.Serialize(text);
        Assert.Equal(smaller, packed.ToMemory().Length < length);
        Assert.Equal(text, _serializer.Deserialize<string>(packed));
    }

    [Fact]
    public void What_was_stored_plain_is_read() => Assert.Equal("""{"a":1}""", _serializer.Deserialize<string>(new("""{"a":1}"""u8.ToArray())));

    [Fact]
    public void What_does_not_become_smaller_stays_as_it_is()
    {
        var noise = new byte[2_000];
        new Random(1).NextBytes(noise);
        var text = Convert.ToBase64String(noise)[..1_000];
        Assert.Equal(text, _serializer.Deserialize<string>(_serializer.Serialize(text)));
    }

    [Fact]
    public void More_than_the_limit_is_not_unpacked() =>
        Assert.Throws<InvalidDataException>(() => _serializer.Deserialize<string>(_serializer.Serialize(new string('a', 100_001))));

    private sealed class Utf8 : IGrainStorageSerializer
    {
        public BinaryData Serialize<T>(T? input) => new(Encoding.UTF8.GetBytes((string)(object)input!));

        public T Deserialize<T>(BinaryData input) => (T)(object)input.ToString();
    }
}
