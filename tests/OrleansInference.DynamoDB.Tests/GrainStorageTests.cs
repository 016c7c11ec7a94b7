using System.Text;
using Amazon.DynamoDBv2.Model;
using FsCheck.Xunit;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Time.Testing;
using Orleans.Configuration;
using Orleans.Serialization;
using Orleans.Serialization.Serializers;
using Orleans.Storage;

namespace OrleansInference.DynamoDB.Tests;

public sealed class Text
{
    public string Value { get; set; } = "";
}

[Collection(DynaliteCollection.Name)]
public sealed class GrainStorageTests(Dynalite dynalite) : IAsyncLifetime
{
    private const string Name = "counter";
    private static readonly DateTimeOffset Now = new(2026, 3, 1, 12, 0, 0, TimeSpan.Zero);
    private static readonly GrainId Grain = GrainId.Create("g", "a/b é");
    private readonly string _table = Dynalite.NewTable();
    private readonly ServiceProvider _services = new ServiceCollection().AddSerializer().BuildServiceProvider();
    private readonly List<DynamoDBGrainStorage> _open = [];

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public ValueTask DisposeAsync()
    {
        dynalite.Proxy.Faults = null;
        _open.ForEach(static storage => storage.Dispose());
        return _services.DisposeAsync();
    }

    [Fact]
    public async Task State_is_read_back_and_its_etag_counts_from_0()
    {
        var storage = await OpenAsync();
        var state = State("");
        await storage.ReadStateAsync(Name, Grain, state);
        Assert.Equal((null, false, ""), (state.ETag, state.RecordExists, state.State.Value));
        for (var i = 0; i < 3; i++)
        {
            state.State = new() { Value = $"v{i}" };
            await storage.WriteStateAsync(Name, Grain, state);
            Assert.Equal(($"{i}", true), (state.ETag, state.RecordExists));
        }

        var other = State("");
        await (await OpenAsync()).ReadStateAsync(Name, Grain, other);
        Assert.Equal(("2", true, "v2"), (other.ETag, other.RecordExists, other.State.Value));
        await storage.ReadStateAsync("another state", Grain, other);
        Assert.False(other.RecordExists);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("0")]
    [InlineData("7")]
    [InlineData("not ours")]
    public async Task Another_etag_than_the_stored_one_is_a_conflict_and_changes_nothing(string? etag)
    {
        foreach (var delete in (bool[])[true, false])
        {
            var storage = await OpenAsync(options => options.DeleteStateOnClear = delete);
            var grain = GrainId.Create("g", $"{delete}");
            var state = State("first");
            await storage.WriteStateAsync(Name, grain, state);
            await storage.WriteStateAsync(Name, grain, state);
            var stale = State("stale", etag);
            await Assert.ThrowsAsync<InconsistentStateException>(() => storage.WriteStateAsync(Name, grain, stale));
            await Assert.ThrowsAsync<InconsistentStateException>(() => storage.ClearStateAsync(Name, grain, stale));
            Assert.Equal((etag, "stale"), (stale.ETag, stale.State.Value));
            await storage.ReadStateAsync(Name, grain, stale);
            Assert.Equal(("1", "first"), (stale.ETag, stale.State.Value));
        }
    }

    [Fact]
    public async Task Clearing_removes_the_item_or_keeps_it_without_state_as_configured()
    {
        using var raw = dynalite.Client();
        foreach (var delete in (bool[])[true, false])
        {
            var storage = await OpenAsync(options => options.DeleteStateOnClear = delete);
            var grain = GrainId.Create("g", $"{delete}");
            var state = State("first");
            await storage.WriteStateAsync(Name, grain, state);
            await storage.ClearStateAsync(Name, grain, state);
            Assert.Equal((delete ? null : "1", false, ""), (state.ETag, state.RecordExists, state.State.Value));
            var item = (await raw.GetItemAsync(_table, Key(grain), Cancelled)).Item;
            Assert.Equal(delete, item is not { Count: > 0 });
            var read = State("x");
            await storage.ReadStateAsync(Name, grain, read);
            Assert.Equal((state.ETag, false, ""), (read.ETag, read.RecordExists, read.State.Value));
            await storage.WriteStateAsync(Name, grain, state);
            Assert.Equal(delete ? "0" : "2", state.ETag);
        }
    }

    [Fact]
    public async Task Item_and_attributes_are_those_of_the_official_package()
    {
        var storage = await OpenAsync(options => options.TimeToLive = TimeSpan.FromDays(2));
        await storage.WriteStateAsync(Name, Grain, State("v"));
        using var raw = dynalite.Client();
        var item = (await raw.GetItemAsync(_table, Key(Grain), Cancelled)).Item;
        Assert.Equal(["ETag", "GrainReference", "GrainState", "GrainTtl", "GrainType"], item.Keys.Order(StringComparer.Ordinal));
        Assert.Equal(($"service_{Grain}", Name, "0", $"{Now.AddDays(2).ToUnixTimeSeconds()}"), (item["GrainReference"].S, item["GrainType"].S, item["ETag"].N, item["GrainTtl"].N));
        Assert.Equal("v", Encoding.UTF8.GetString(item["GrainState"].B.ToArray()));

        // Its empty state is a null.
        item["GrainState"] = new() { NULL = true };
        item["ETag"] = Items.N(41);
        await raw.PutItemAsync(_table, item, Cancelled);
        var state = State("x");
        await storage.ReadStateAsync(Name, Grain, state);
        Assert.Equal(("41", false, ""), (state.ETag, state.RecordExists, state.State.Value));
    }

    [Fact]
    public async Task Time_to_live_is_turned_on_with_the_attribute_that_is_written()
    {
        await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => OpenAsync(static options => options.TimeToLive = TimeSpan.FromHours(1))));
        using var raw = dynalite.Client();
        Assert.Equal("GrainTtl", (await raw.DescribeTimeToLiveAsync(_table, Cancelled)).TimeToLiveDescription.AttributeName);
    }

    [Theory]
    [InlineData(400 * 1024, true)]
    [InlineData((400 * 1024) + 1, false)]
    public async Task An_item_may_be_as_large_as_DynamoDB_takes_and_no_larger(int bytes, bool fits)
    {
        var storage = await OpenAsync();
        var grain = GrainId.Create("g", "large");
        var overhead = (int)new Dictionary<string, AttributeValue>(Key(grain)) { ["ETag"] = Items.N(0), ["GrainState"] = new() { B = new() } }.Size();
        var state = State(new string('x', bytes - overhead));
        if (fits)
        {
            await storage.WriteStateAsync(Name, grain, state);
            var read = State("");
            await storage.ReadStateAsync(Name, grain, read);
            Assert.Equal(state.State.Value, read.State.Value);
        }
        else
        {
            dynalite.Proxy.TakeCalls();
            var problem = await Assert.ThrowsAsync<TableException>(() => storage.WriteStateAsync(Name, grain, state));
            Assert.Contains($"{bytes} bytes; DynamoDB takes 409600", problem.Message, StringComparison.Ordinal);
            Assert.Empty(dynalite.Proxy.TakeCalls());
            Assert.Null(state.ETag);
        }
    }

    [Fact]
    public async Task Writers_of_one_state_lose_no_update()
    {
        const int Writers = 8;
        const int Each = 15;
        await OpenAsync();
        await Task.WhenAll(Enumerable.Range(0, Writers).Select(_ => Task.Run(
            async () =>
            {
                var storage = await OpenAsync();
                var state = State("");
                for (var done = 0; done < Each;)
                {
                    await storage.ReadStateAsync(Name, Grain, state);
                    state.State.Value += "x";
                    try
                    {
                        await storage.WriteStateAsync(Name, Grain, state);
                        done++;
                    }
                    catch (InconsistentStateException)
                    {
                        // Another was first.
                    }
                }
            },
            Cancelled)));
        var end = State("");
        await (await OpenAsync()).ReadStateAsync(Name, Grain, end);
        Assert.Equal((Writers * Each, $"{(Writers * Each) - 1}"), (end.State.Value.Length, end.ETag));
    }

    [Property(MaxTest = 25, EndSize = int.MaxValue)]
    public void Any_history_is_that_of_a_dictionary_with_versions(int seed) => HistoryAsync(seed).GetAwaiter().GetResult();

    private async Task HistoryAsync(int seed)
    {
        var random = new Random(seed);
        var delete = random.Next(2) == 0;
        DynamoDBGrainStorage[] storages = [await OpenAsync(options => options.DeleteStateOnClear = delete), await OpenAsync(options => options.DeleteStateOnClear = delete)];
        var grains = Enumerable.Range(0, 2).Select(i => GrainId.Create("g", $"{seed}-{i}")).ToArray();
        Dictionary<GrainId, (string? Value, int ETag)> model = [];

        // Two activations of each grain, each with what it read or wrote last.
        var held = grains.SelectMany(grain => storages.Select(storage => (Storage: storage, Grain: grain, State: State("")))).ToArray();
        for (var step = 0; step < 40; step++)
        {
            var (storage, grain, state) = held[random.Next(held.Length)];
            var stored = model.TryGetValue(grain, out var found) ? found : default((string? Value, int ETag)?);
            var isCurrent = state.ETag == stored?.ETag.ToString(System.Globalization.CultureInfo.InvariantCulture);
            var action = random.Next(5);
            if (action == 0)
            {
                await storage.ReadStateAsync(Name, grain, state);
                Assert.Equal((stored?.ETag.ToString(System.Globalization.CultureInfo.InvariantCulture), stored?.Value is not null, stored?.Value ?? ""), (state.ETag, state.RecordExists, state.State.Value));
                continue;
            }

            state.State = new() { Value = $"s{step}" };
            Func<Task> change = action == 1 ? () => storage.ClearStateAsync(Name, grain, state) : () => storage.WriteStateAsync(Name, grain, state);
            if (!isCurrent)
            {
                await Assert.ThrowsAsync<InconsistentStateException>(change);
                continue;
            }

            await change();
            var next = stored?.ETag + 1 ?? 0;
            if (action != 1)
            {
                model[grain] = ($"s{step}", next);
            }
            else if (delete)
            {
                model.Remove(grain);
            }
            else
            {
                model[grain] = (null, next);
            }

            Assert.Equal(model.TryGetValue(grain, out var now) ? now.ETag.ToString(System.Globalization.CultureInfo.InvariantCulture) : null, state.ETag);
        }
    }

    [Fact]
    public async Task A_throttled_write_is_waited_for_and_reads_are_strongly_consistent()
    {
        var storage = await OpenAsync();
        var left = 2;
        dynalite.Proxy.Faults = call => call.Operation == "PutItem" && left-- > 0 ? new("ProvisionedThroughputExceededException", "too fast") : null;
        await storage.WriteStateAsync(Name, Grain, State("v"));
        dynalite.Proxy.TakeCalls();
        await storage.ReadStateAsync(Name, Grain, State(""));
        Assert.True(Assert.Single(dynalite.Proxy.TakeCalls()).Body["ConsistentRead"]!.GetValue<bool>());
    }

    [Fact]
    public async Task State_that_cannot_be_read_names_grain_table_and_type()
    {
        var storage = await OpenAsync();
        using var raw = dynalite.Client();
        await raw.PutItemAsync(_table, new(Key(Grain)) { ["ETag"] = Items.N(0), ["GrainState"] = new() { B = new("broken"u8.ToArray()) } }, Cancelled);
        var problem = await Assert.ThrowsAsync<TableException>(() => storage.ReadStateAsync(Name, Grain, State("")));
        Assert.All([$"{Grain}", _table, typeof(Text).ToString()], part => Assert.Contains(part, problem.Message, StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_key_that_is_too_long_is_refused_before_it_is_sent()
    {
        var storage = await OpenAsync();
        await Assert.ThrowsAsync<TableException>(() => storage.WriteStateAsync(Name, GrainId.Create("g", new string('k', 2_100)), State("v")));
    }

    private async Task<DynamoDBGrainStorage> OpenAsync(Action<DynamoDBStorageOptions>? configure = null)
    {
        var options = dynalite.Options(new DynamoDBStorageOptions { GrainStorageSerializer = new Plain() }, _table);

        // A machine that stands still would end an attempt that is carried out all the same.
        options.Patience = TablePatience.OnRequests with { Attempt = TimeSpan.FromHours(1), Call = TimeSpan.FromMinutes(10) };
        configure?.Invoke(options);
        var storage = new DynamoDBGrainStorage(
            "test",
            options,
            Options.Create(new ClusterOptions { ClusterId = "cluster", ServiceId = "service" }),
            _services.GetRequiredService<IActivatorProvider>(),
            new FakeTimeProvider(Now),
            NullLogger<DynamoDBGrainStorage>.Instance);
        lock (_open)
        {
            _open.Add(storage);
        }

        await storage.OpenAsync(Cancelled);
        return storage;
    }

    private static Dictionary<string, AttributeValue> Key(GrainId grain) => new() { ["GrainReference"] = Items.S($"service_{grain}"), ["GrainType"] = Items.S(Name) };

    private static Held State(string value, string? etag = null) => new() { State = new() { Value = value }, ETag = etag, RecordExists = etag is not null };

    private sealed class Held : IGrainState<Text>
    {
        [System.Diagnostics.CodeAnalysis.AllowNull]
        public Text State { get; set; } = new();

        public string? ETag { get; set; }

        public bool RecordExists { get; set; }
    }

    private sealed class Plain : IGrainStorageSerializer
    {
        public BinaryData Serialize<T>(T? input) => new(Encoding.UTF8.GetBytes(((Text)(object)input!).Value));

        public T Deserialize<T>(BinaryData input) => input.ToString() == "broken" ? throw new FormatException("it is broken") : (T)(object)new Text { Value = input.ToString() };
    }
}
