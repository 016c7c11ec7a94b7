using System.Collections.Concurrent;
using System.Text.Json;
using Microsoft.Data.Sqlite;
using OrleansInference.Hosting;
using OrleansInference.LocalAws.Models;
using OrleansInference.LocalAws.Objects;
using OrleansInference.LocalAws.Storage;

namespace OrleansInference.LocalAws.Transform;

/// <summary>The transform jobs there are. Those that had not ended when the server stopped begin anew when it is back.</summary>
internal sealed class TransformJobs(LocalDatabase database, SimulatedModels models, ObjectStore objects, InvocationLog log, RouterClock clock, CancellationToken stopping)
{
    private const string Columns = "request, status, created, started, ended, failure";
    private readonly ConcurrentDictionary<string, (Task Work, CancellationTokenSource Cancel)> _running = new(StringComparer.Ordinal);
    private readonly Lock _gate = new();

    /// <summary>Creates a job, durably; false if the name is in use.</summary>
    public bool Create(TransformJobSpec spec)
    {
        var created = database.Execute(
            "INSERT INTO transform_job (name, request, status, created) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING", spec.Name, JsonSerializer.Serialize(spec), TransformJob.InProgress, clock.Now) == 1;
        if (created)
        {
            Start(spec);
        }

        return created;
    }

    public TransformJob? Find(string name) => database.Query($"SELECT {Columns} FROM transform_job WHERE name = ?1", Read, name).FirstOrDefault();

    /// <summary>Asks a job to stop; false if it has ended.</summary>
    public bool Stop(string name)
    {
        if (database.Execute("UPDATE transform_job SET status = ?2 WHERE name = ?1 AND status IN ('InProgress', 'Stopping')", name, TransformJob.Stopping) == 0)
        {
            return false;
        }

        if (_running.TryGetValue(name, out var running))
        {
            running.Cancel.Cancel();
        }
        else
        {
            End(name, TransformJob.Stopped, failure: null);
        }

        return true;
    }

    /// <summary>Takes up the jobs that no one works on and whose model exists.</summary>
    public void Resume()
    {
        foreach (var job in database.Query($"SELECT {Columns} FROM transform_job WHERE ended IS NULL ORDER BY created", Read))
        {
            if (job.Status == TransformJob.Stopping)
            {
                Stop(job.Spec.Name);
            }
            else if (models.FindModel(job.Spec.Model) is not null)
            {
                Start(job.Spec);
            }
        }
    }

    /// <summary>Waits until everything under way has noticed that the server stops.</summary>
    public Task StopAsync() => Task.WhenAll(_running.Values.Select(r => r.Work));

    private static TransformJob Read(SqliteDataReader row) => new(
        JsonSerializer.Deserialize<TransformJobSpec>(row.GetString(0))!,
        row.GetString(1),
        row.GetInt64(2),
        row.IsDBNull(3) ? null : row.GetInt64(3),
        row.IsDBNull(4) ? null : row.GetInt64(4),
        row.IsDBNull(5) ? null : row.GetString(5));

    private void Start(TransformJobSpec spec)
    {
        lock (_gate)
        {
            if (!_running.ContainsKey(spec.Name))
            {
                var cancel = CancellationTokenSource.CreateLinkedTokenSource(stopping);
                _running[spec.Name] = (Task.Run(() => WorkAsync(spec, cancel), CancellationToken.None), cancel);
            }
        }
    }

    private async Task WorkAsync(TransformJobSpec spec, CancellationTokenSource cancel)
    {
        try
        {
            if (models.FindModel(spec.Model) is not { } model)
            {
                return;
            }

            await clock.DelayAsync(TimeSpan.FromSeconds(model.Definition.Simulation.StartSeconds), cancel.Token);
            database.Execute("UPDATE transform_job SET started = ?2 WHERE name = ?1", spec.Name, clock.Now);
            var failure = await new TransformRun(spec, model, objects, log, clock).RunAsync(cancel.Token);
            End(spec.Name, failure is null ? TransformJob.Completed : TransformJob.Failed, failure);
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            // The server stops: the job begins anew when it is back.
        }
        catch (OperationCanceledException)
        {
            End(spec.Name, TransformJob.Stopped, failure: null);
        }
        catch (Exception exception)
        {
            End(spec.Name, TransformJob.Failed, $"InternalServerError: {exception.Message}");
        }
        finally
        {
            lock (_gate)
            {
                _running.TryRemove(spec.Name, out _);
            }

            cancel.Dispose();
        }
    }

    private void End(string name, string status, string? failure) => database.Execute(
        "UPDATE transform_job SET status = ?2, failure = ?3, ended = MAX(?4, COALESCE(started, 0)) WHERE name = ?1 AND ended IS NULL", name, status, failure, clock.Now);
}
