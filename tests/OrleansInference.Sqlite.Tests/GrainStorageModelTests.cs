using FsCheck.Xunit;
using Orleans.Storage;

namespace OrleansInference.Sqlite.Tests;

/// <summary>Storage against a dictionary, with several activations that each hold what they last saw.</summary>
public sealed class GrainStorageModelTests
{
    private const int Grains = 3;
    private const int Activations = 2;

    [Property(MaxTest = 60)]
    public async Task Any_sequence_of_calls_behaves_like_a_dictionary_with_versions(byte[] script)
    {
        using var folder = new DataFolder();
        var storage = await folder.OpenStorageAsync();
        var model = new Dictionary<int, (string ETag, int Value)>();
        var held = new GrainState<List<int>>[Grains, Activations];
        for (var i = 0; i < Grains * Activations; i++)
        {
            held[i / Activations, i % Activations] = new([]);
        }

        for (var step = 0; step < script.Length; step++)
        {
            var grain = script[step] % Grains;
            var state = held[grain, script[step] / Grains % Activations];
            var id = GrainId.Create("model", $"{grain}");
            var owns = model.TryGetValue(grain, out var stored) ? state.ETag == stored.ETag : state.ETag is null;
            switch (script[step] / (Grains * Activations) % 8)
            {
                case 0 or 1 or 2:
                    state.State = [step];
                    if (await Succeeds(() => storage.WriteStateAsync("s", id, state)))
                    {
                        Assert.True(owns);
                        Assert.DoesNotContain(state.ETag, model.Values.Select(row => row.ETag));
                        model[grain] = (state.ETag!, step);
                    }
                    else
                    {
                        Assert.False(owns);
                    }

                    break;
                case 3:
                    Assert.Equal(owns, await Succeeds(() => storage.ClearStateAsync("s", id, state)));
                    if (owns)
                    {
                        model.Remove(grain);
                    }

                    break;
                case 4:
                    storage.Dispose();
                    storage = await folder.OpenStorageAsync();
                    break;
                default:
                    await storage.ReadStateAsync("s", id, state);
                    Assert.Equal(model.ContainsKey(grain), state.RecordExists);
                    Assert.Equal(model.TryGetValue(grain, out stored) ? stored.ETag : null, state.ETag);
                    Assert.Equal(state.RecordExists ? [stored.Value] : [], state.State!);
                    break;
            }
        }

        storage.Dispose();
    }

    private static async Task<bool> Succeeds(Func<Task> call)
    {
        try
        {
            await call();
            return true;
        }
        catch (InconsistentStateException)
        {
            return false;
        }
    }
}
