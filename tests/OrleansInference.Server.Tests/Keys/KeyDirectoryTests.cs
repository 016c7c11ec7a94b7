using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using OrleansInference.Keys;
using OrleansInference.Tests.FrontDoor;

namespace OrleansInference.Tests.Keys;

/// <summary>What becomes of keys while their grains cannot be reached, as when a silo has just been killed.</summary>
public sealed class KeyDirectoryTests : IDisposable
{
    private static readonly TimeSpan Lifetime = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Moment = TimeSpan.FromMilliseconds(10);
    private readonly FakeTimeProvider _time = new();
    private readonly MasterKey _master = new(new byte[MasterKey.Length]);
    private readonly FlakyStore _store = new();
    private readonly KeyDirectory _keys;

    public KeyDirectoryTests() => _keys = new(_store, new(_master), _master, _time, Lifetime, NullLogger<KeyDirectory>.Instance);

    public void Dispose() => _master.Dispose();

    [Fact]
    public async Task A_key_that_was_good_goes_on_while_its_grain_cannot_be_reached_for_a_minute()
    {
        var key = await KnownAsync();
        _store.Fails = true;
        _time.Advance(Lifetime);
        for (var passed = TimeSpan.Zero; passed + KeyDirectory.Patience < KeyDirectory.Unreached; passed += KeyDirectory.Patience)
        {
            Assert.Equal("acme", (await SoonAsync(() => _keys.FindByApiKeyAsync(key.ApiKey)))?.Tenant.Value);
            Assert.Equal(key.SecretAccessKey, (await SoonAsync(() => _keys.FindAsync(key.AccessKeyId)))?.SecretAccessKey);
            _time.Advance(KeyDirectory.Patience - (4 * Moment));
        }

        _time.Advance(KeyDirectory.Unreached);
        await Assert.ThrowsAsync<SiloUnavailableException>(() => SoonAsync(() => _keys.FindAsync(key.AccessKeyId)));
        _store.Fails = false;
        Assert.NotNull(await SoonAsync(() => _keys.FindAsync(key.AccessKeyId)));
    }

    [Fact]
    public async Task One_that_does_not_answer_is_waited_for_once()
    {
        var key = await KnownAsync();
        var hold = _store.Hold = new();
        _time.Advance(Lifetime);
        var first = _keys.FindAsync(key.AccessKeyId).AsTask();
        Assert.False(first.IsCompleted);
        Assert.NotNull(await SoonAsync(() => new(first)));
        for (var i = 0; i < 5; i++)
        {
            var next = _keys.FindAsync(key.AccessKeyId);
            Assert.True(next.IsCompleted);
            Assert.NotNull(await next);
            _time.Advance(TimeSpan.FromSeconds(2));
        }

        // The one look that was under way all the time brings word of what became of the key.
        Assert.Equal(2, _store.Reads);
        await _store.RevokeAsync(key.AccessKeyId);
        hold.SetResult();
        while (await _keys.FindAsync(key.AccessKeyId) is not null)
        {
            await Task.Delay(1, TestContext.Current.CancellationToken);
        }
    }

    [Fact]
    public async Task A_revocation_that_was_heard_stays_heard()
    {
        var (here, elsewhere) = (await KnownAsync(), await KnownAsync());
        Assert.True(await _keys.RevokeAsync(here.AccessKeyId));
        await _store.RevokeAsync(elsewhere.AccessKeyId);
        _time.Advance(Lifetime);
        Assert.Null(await SoonAsync(() => _keys.FindAsync(elsewhere.AccessKeyId)));
        _store.Fails = true;
        for (var i = 0; i < 3; i++)
        {
            Assert.Null(await SoonAsync(() => _keys.FindByApiKeyAsync(here.ApiKey)));
            Assert.Null(await SoonAsync(() => _keys.FindByApiKeyAsync(elsewhere.ApiKey)));
            _time.Advance(Lifetime);
        }
    }

    [Fact]
    public async Task An_answer_that_left_before_the_revocation_does_not_undo_it()
    {
        var key = await KnownAsync();
        var hold = _store.HoldAnswer = new();
        _time.Advance(Lifetime);
        var asked = _keys.FindAsync(key.AccessKeyId).AsTask();
        _store.HoldAnswer = null;
        Assert.True(await _keys.RevokeAsync(key.AccessKeyId));
        hold.SetResult();
        Assert.Null(await SoonAsync(() => new(asked)));
        Assert.Null(await _keys.FindAsync(key.AccessKeyId));
    }

    [Fact]
    public async Task A_key_that_nothing_is_known_of_is_asked_for_again_for_a_while_and_then_refused()
    {
        var key = await _keys.IssueAsync(new("acme"));
        _store.Fails = true;
        var asked = _keys.FindAsync(key.AccessKeyId).AsTask();
        _time.Advance(KeyDirectory.Patience / 4);
        Assert.False(asked.IsCompleted);
        _store.Fails = false;
        Assert.NotNull(await SoonAsync(() => new(asked)));

        var other = await _keys.IssueAsync(new("acme"));
        _store.Fails = true;
        var began = _time.GetTimestamp();
        await Assert.ThrowsAsync<SiloUnavailableException>(() => SoonAsync(() => _keys.FindAsync(other.AccessKeyId)));
        Assert.True(_time.GetElapsedTime(began) >= KeyDirectory.Patience);
    }

    private async Task<IssuedKey> KnownAsync()
    {
        var key = await _keys.IssueAsync(new("acme"));
        Assert.NotNull(await _keys.FindAsync(key.AccessKeyId));
        return key;
    }

    /// <summary>Lets time pass until there is an answer.</summary>
    private async Task<ActiveKey?> SoonAsync(Func<ValueTask<ActiveKey?>> find)
    {
        var finding = find().AsTask();
        while (!finding.IsCompleted)
        {
            _time.Advance(Moment);
            await Task.Delay(1, TestContext.Current.CancellationToken);
        }

        return await finding;
    }

    private sealed class FlakyStore : IKeyStore
    {
        private readonly MemoryKeyStore _kept = new();

        /// <summary>Whether it cannot be reached.</summary>
        public bool Fails { get; set; }

        /// <summary>What reading waits for.</summary>
        public TaskCompletionSource? Hold { get; set; }

        /// <summary>What an answer waits for that has been read.</summary>
        public TaskCompletionSource? HoldAnswer { get; set; }

        public int Reads { get; private set; }

        public Task PutAsync(string accessKeyId, KeyRecord record) => _kept.PutAsync(accessKeyId, record);

        public async Task<KeyRecord?> GetAsync(string accessKeyId)
        {
            Reads++;
            await (Hold?.Task ?? Task.CompletedTask);
            var answer = await _kept.GetAsync(accessKeyId);
            await (HoldAnswer?.Task ?? Task.CompletedTask);
            return Fails ? throw new SiloUnavailableException("The silo has just died.") : answer;
        }

        public Task RevokeAsync(string accessKeyId) => _kept.RevokeAsync(accessKeyId);
    }
}
