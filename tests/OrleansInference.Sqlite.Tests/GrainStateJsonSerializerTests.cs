using System.Collections.Immutable;
using System.Text;
using System.Text.Json.Serialization;

namespace OrleansInference.Sqlite.Tests;

public sealed class GrainStateJsonSerializerTests
{
    private readonly GrainStateJsonSerializer _serializer = new();

    public enum Colour
    {
        Red,
        Green,
    }

    [Fact]
    public void Records_and_immutable_collections_come_back_equal()
    {
        var before = new Everything
        {
            Name = "n'\"ü<",
            Numbers = [1, 2, 3],
            ByName = ImmutableDictionary<string, Point>.Empty.Add("a", new(1, 2)),
            ByColour = ImmutableSortedDictionary<Colour, long>.Empty.Add(Colour.Green, long.MaxValue),
            Queue = ImmutableQueue.Create(1, 2),
            Bytes = new byte[] { 0, 255 },
            Rate = double.NaN,
            Colour = Colour.Green,
            At = DateTimeOffset.UnixEpoch,
            Wait = TimeSpan.FromTicks(1),
            Computed = { 9 },
        };
        var after = _serializer.Deserialize<Everything>(_serializer.Serialize(before))!;
        Assert.Equal(before.Name, after.Name);
        Assert.Equal(before.Numbers.AsEnumerable(), after.Numbers);
        Assert.True(after.Unset.IsDefault);
        Assert.Equal(before.ByName, after.ByName);
        Assert.Equal(before.ByColour, after.ByColour);
        Assert.Equal(before.Queue, after.Queue);
        Assert.Equal(before.Bytes.ToArray(), after.Bytes.ToArray());
        Assert.Equal((before.Rate, before.Colour, before.At, before.Wait), (after.Rate, after.Colour, after.At, after.Wait));
        Assert.Equal(9, Assert.Single(after.Computed));
        Assert.Null(after.Nothing);
    }

    [Fact]
    public void Enums_are_written_by_name() =>
        Assert.Contains("\"Green\"", Encoding.UTF8.GetString(_serializer.Serialize(Colour.Green).ToArray()), StringComparison.Ordinal);

    [Fact]
    public void Members_that_came_later_take_their_default() =>
        Assert.Equal("new", _serializer.Deserialize<WithDefault>(BinaryData.FromString("""{"Gone":[1,{"a":2}]}"""))!.Text);

    [Fact]
    public void A_property_that_would_be_lost_is_refused_by_name()
    {
        Assert.Contains("HalfPrivate.Count", Assert.Throws<NotSupportedException>(() => _serializer.Serialize(new HalfPrivate())).Message, StringComparison.Ordinal);
        Assert.Contains("GetOnly.Items", Assert.Throws<NotSupportedException>(() => _serializer.Serialize(new GetOnly())).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Computed_and_ignored_properties_are_no_matter() =>
        Assert.Equal(3, _serializer.Deserialize<Derived>(_serializer.Serialize(new Derived { Count = 3 }))!.Count);

    [Fact]
    public void What_is_nothing_is_left_out_where_it_comes_back_as_nothing()
    {
        Assert.Equal("""{"Needed":0,"Limit":0,"Text":null,"Inner":{"Name":"n","Few":0}}""", _serializer.Serialize(new Sparse { Needed = 0, Limit = 0, Text = null, Inner = new(0, "n", Few: 0) }).ToString());
        foreach (var state in (Sparse[])[new() { Needed = 0 }, new() { Needed = 1, Limit = 0, Text = null, Count = 3, At = DateTimeOffset.UnixEpoch, Inner = new(0, null, Few: 0) }, new() { Needed = 0, Inner = new(2, "n") }])
        {
            Assert.Equal(state, _serializer.Deserialize<Sparse>(_serializer.Serialize(state)));
        }
    }

    [Fact]
    public void Options_can_be_changed()
    {
        var camel = new GrainStateJsonSerializer(options => options.PropertyNamingPolicy = System.Text.Json.JsonNamingPolicy.CamelCase);
        Assert.Equal("""{"text":"new"}""", camel.Serialize(new WithDefault()).ToString());
    }

    public sealed record Point(int X, int Y);

    public sealed record Everything
    {
        public required string Name { get; init; }

        public ImmutableArray<int> Numbers { get; init; } = [];

        public ImmutableArray<int> Unset { get; init; }

        public ImmutableDictionary<string, Point> ByName { get; init; } = ImmutableDictionary<string, Point>.Empty;

        public ImmutableSortedDictionary<Colour, long> ByColour { get; init; } = ImmutableSortedDictionary<Colour, long>.Empty;

        public ImmutableQueue<int> Queue { get; init; } = [];

        public ReadOnlyMemory<byte> Bytes { get; init; }

        public double Rate { get; init; }

        public Colour Colour { get; init; }

        public DateTimeOffset At { get; init; }

        public TimeSpan Wait { get; init; }

        public List<int> Computed { get; init; } = [];

        public string? Nothing { get; init; }
    }

    public sealed record Inner(int X, string? Name, int Few = 5);

    public sealed record Sparse
    {
        public required int Needed { get; init; }

        public int Limit { get; init; } = 60;

        public string? Text { get; init; } = "";

        public int Count { get; init; }

        public DateTimeOffset At { get; init; }

        public Inner? Inner { get; init; }
    }

    public sealed class WithDefault
    {
        public string Text { get; set; } = "new";
    }

    public sealed class HalfPrivate
    {
        public int Count { get; private set; }
    }

    public sealed class GetOnly
    {
        public List<int> Items { get; } = [];
    }

    public sealed class Derived
    {
        [JsonInclude]
        public int Count { get; internal set; }

        public int Twice => 2 * Count;

        [JsonIgnore]
        public List<int> Cache { get; } = [];
    }
}
