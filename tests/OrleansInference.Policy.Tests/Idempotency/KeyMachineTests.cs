using FsCheck.Xunit;
using OrleansInference.Idempotency;
using StoredRecord = OrleansInference.Idempotency.KeyRecord;

namespace OrleansInference.Tests.Idempotency;

/// <summary>
/// Random histories of competing claims on one key, with lost activations, against a slow model that remembers everything: who may act, the one
/// outcome, and what a ledger that takes each reservation's end once makes of what it is told.
/// </summary>
public sealed class KeyMachineTests
{
    private const int Steps = 120;

    [Property(MaxTest = 300)]
    public void Of_all_claims_one_outcome_at_most_is_stated_and_charged(int seed)
    {
        var history = new History(seed);
        for (var step = 0; step < Steps; step++)
        {
            history.Step();
        }

        history.Close();
    }

    [Fact]
    public void The_histories_have_what_they_are_to_test()
    {
        var seen = new Dictionary<string, int>();
        for (var seed = 0; seed < 300; seed++)
        {
            var history = new History(seed);
            for (var step = 0; step < Steps; step++)
            {
                history.Step();
            }

            history.Close();
            foreach (var (what, count) in history.Seen)
            {
                seen[what] = seen.GetValueOrDefault(what) + count;
            }
        }

        Assert.All(
            (string[])["begun", "busy", "conflict", "ended", "takeover", "stale reserve", "stale outcome", "charge", "release", "lost", "second outcome", "job"],
            what => Assert.True(seen.GetValueOrDefault(what) >= 20, $"{what}: {seen.GetValueOrDefault(what)}"));
    }

    private sealed class History(int seed)
    {
        private readonly Random _random = new(seed);
        private readonly List<(string Claim, string Holder)> _claims = [];
        private readonly HashSet<string> _gone = [];
        private readonly Dictionary<string, Money?> _ledger = [];
        private KeyMachine? _machine;
        private StoredRecord? _stored;
        private InferenceOutcome? _outcome;
        private long _now = 1_000;
        private int _names;

        public Dictionary<string, int> Seen { get; } = [];

        public void Step()
        {
            _now += _random.Next(40);
            switch (_random.Next(10))
            {
                case 0 or 1 or 2:
                    Begin();
                    break;
                case 3 or 4:
                    Reserve();
                    break;
                case 5:
                    Complete();
                    break;
                case 6:
                    LetGo();
                    break;
                case 7:
                    Bind();
                    break;
                case 8:
                    Lose();
                    break;
                default:
                    Settle();
                    break;
            }

            Check();
        }

        /// <summary>Whatever was interrupted is finished, as a reminder would.</summary>
        public void Close()
        {
            if (_machine is null)
            {
                return;
            }

            if (_machine.HasEnded)
            {
                Settle();
            }
            else
            {
                _machine.LetGo();
                Release();
            }

            Check();
            Assert.DoesNotContain(_ledger.Values, static end => end is null);
            var charged = _ledger.Values.Where(static end => end > Money.Zero).ToList();
            if (_outcome is { JobId: null, Route.Charge: var charge } && charge > Money.Zero)
            {
                Assert.Equal(charge, Assert.Single(charged));
            }
            else
            {
                Assert.Empty(charged);
            }
        }

        private void Begin()
        {
            var holder = $"silo{_random.Next(3)}/{_random.Next(50)}";
            var request = new KeyRequest { Model = new("chat"), BodyHash = _random.Next(8) == 0 ? "other" : "body", Holder = holder, Until = _now + 200 };
            var claim = $"claim{_names++}";
            if (_machine is null)
            {
                _machine = KeyMachine.New(request with { BodyHash = "body" }, claim);
                _claims.Add((claim, holder));
                return;
            }

            var before = _machine.Record;
            var isGone = _gone.Contains(before.Holder);
            var isHeld = !isGone && _now < before.ClaimUntil;
            var expected = request.BodyHash != "body" ? KeyState.Conflict
                : _outcome is not null ? KeyState.Ended
                : isHeld || before.ToRelease.Count >= KeyMachine.MaxToRelease ? KeyState.Busy
                : KeyState.Begun;
            var state = _machine.Begin(request, claim, isGone, _now);
            Assert.Equal(expected, state);
            Count(state.ToString().ToLowerInvariant());
            if (state != KeyState.Begun)
            {
                Assert.Same(before, _machine.Record);
                return;
            }

            Count("takeover");
            Assert.Null(_machine.Record.Reservation);
            _claims.Add((claim, holder));
        }

        // Any claim ever given may be presented; only the last given counts, as the grain asks before it acts.
        private (string Claim, bool Counts)? Pick()
        {
            if (_machine is null || _claims.Count == 0)
            {
                return null;
            }

            var claim = _claims[_random.Next(2) == 0 ? _claims.Count - 1 : _random.Next(_claims.Count)].Claim;
            var counts = _outcome is null && claim == _claims[^1].Claim;
            Assert.Equal(counts, _machine.IsRunning(claim));
            return (claim, counts);
        }

        private void Reserve()
        {
            if (Pick() is not { } picked || !picked.Counts)
            {
                Count("stale reserve");
                return;
            }

            var id = $"reservation{_names++}";
            _machine!.Reserve(new(id, Call(), _now));
            Save();
            Release();
            if (_random.Next(5) == 0)
            {
                _machine.NotReserved();
                return;
            }

            _ledger[id] = null;
            if (_random.Next(5) == 0)
            {
                // The ledger granted it, and nobody learnt of that.
                Lose();
                return;
            }

            _machine.Reserved(_now);
            Assert.Equal((id, _now), (_machine.Record.Reservation!.Id, _machine.Record.Reservation.At));
        }

        private void Complete()
        {
            if (Pick() is not { } picked)
            {
                return;
            }

            var outcome = new InferenceOutcome { Route = Call().Route with { Charge = Money.FromNanos(_random.Next(1, 1000)) } };
            if (!picked.Counts)
            {
                Count(_outcome is null ? "stale outcome" : "second outcome");
                if (_outcome is not null)
                {
                    var before = _machine!.Record;
                    _machine.End(outcome, null, 1, _now);
                    Assert.Same(before, _machine.Record);
                }

                return;
            }

            var record = _machine!.Record;
            if (record.Reservation is { } money ? !_ledger.ContainsKey(money.Id) : !record.IsJob)
            {
                // What has no money has not run.
                return;
            }

            if (record.Reservation is null)
            {
                outcome = new() { JobId = "job", Route = Call().Route };
                Count("job");
            }

            _machine.End(outcome, null, 1, _now);
            Save();
            _outcome = outcome;
            if (_random.Next(2) == 0)
            {
                Settle();
            }
        }

        private void LetGo()
        {
            if (Pick() is { Counts: true })
            {
                _machine!.LetGo();
                Save();
                Release();
            }
        }

        private void Bind()
        {
            if (_random.Next(3) == 0 && Pick() is { Counts: true })
            {
                _machine!.Bind();
                Save();
                Release();
            }
        }

        // A silo is gone, or the activation and all it had not stored.
        private void Lose()
        {
            Count("lost");
            if (_random.Next(2) == 0 && _machine is not null)
            {
                _gone.Add(_machine.Record.Holder);
            }

            if (_machine is null)
            {
                return;
            }

            _machine = _stored is null ? null : new(_stored);

            // A claim that was not stored has done nothing; the one that was counts again, unless its time is over.
            while (_claims.Count > 0 && _claims[^1].Claim != _stored?.Claim)
            {
                _claims.RemoveAt(_claims.Count - 1);
            }
        }

        private void Settle()
        {
            if (_machine is not { HasEnded: true } machine)
            {
                return;
            }

            Release();
            if (machine.Record is { Reservation: { } reservation, Outcome.Route: { } route })
            {
                End(reservation.Id, route.Charge);
                Count("charge");
            }

            if (_random.Next(3) > 0)
            {
                machine.SettlementTaken();
            }
        }

        private void Release()
        {
            // Told twice if it is interrupted in between.
            for (var times = _random.Next(1, 3); times > 0; times--)
            {
                foreach (var reservation in _machine!.Record.ToRelease)
                {
                    End(reservation.Id, Money.Zero);
                    Count("release");
                }
            }

            _machine!.Released();
        }

        // What the ledger was never asked for, it cannot end.
        private void End(string reservation, Money charge)
        {
            if (_ledger.TryGetValue(reservation, out var end))
            {
                Assert.True(end is null || end == charge, $"{reservation} ended in {end} and then in {charge}");
                _ledger[reservation] = charge;
            }
        }

        private void Check()
        {
            Assert.Equal(_outcome, _machine?.Record.Outcome);
            Assert.True(_ledger.Values.Count(static end => end > Money.Zero) <= 1);
            if (_machine is { Record: var record })
            {
                // Every open reservation is known, so that it can be released or charged.
                var known = record.ToRelease.Select(static r => r.Id).Append(record.Reservation?.Id).ToHashSet();
                Assert.All(_ledger, entry => Assert.True(entry.Value is not null || known.Contains(entry.Key), $"{entry.Key} is lost"));
            }
        }

        private void Save() => _stored = _machine!.Record;

        private void Count(string what) => Seen[what] = Seen.GetValueOrDefault(what) + 1;

        private static KeyedCall Call() => new()
        {
            Route = new() { DecisionId = "d", Class = TrafficClass.High, Lane = Lane.Realtime, Endpoint = new("chat-rt"), Variant = new("full"), ChargeCap = Money.FromNanos(1000) },
            ArrivedAt = 1,
            Deadline = 2,
        };
    }
}
