using System.Collections.Immutable;
using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using OrleansInference.Simulator.Fleet;
using OrleansInference.Simulator.Scenarios;
using OrleansInference.Simulator.Traces;

namespace OrleansInference.Simulator.Decisions;

/// <summary>Writes a decision log: a line for each request when it ends. Keeps in memory only the decisions of those under way.</summary>
internal sealed class DecisionLogFile(Scenario scenario, Stream stream) : IDecisionLog
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web)
    {
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
        Converters = { new JsonStringEnumConverter() },
    };

    private readonly Dictionary<long, ImmutableArray<LoggedDecision>> _underWay = [];

    /// <summary>Finds a request in a log; null if it is not there.</summary>
    /// <param name="path">The log's file.</param>
    /// <param name="number">The request's number.</param>
    /// <param name="cancellationToken">Ends the search.</param>
    /// <exception cref="FormatException">A line is no request.</exception>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public static LoggedRequest? Find(string path, long number, CancellationToken cancellationToken)
    {
        const string Prefix = "{\"number\":";
        var wanted = string.Create(CultureInfo.InvariantCulture, $"{Prefix}{number},");
        long line = 0;
        foreach (var text in File.ReadLines(path))
        {
            line++;
            cancellationToken.ThrowIfCancellationRequested();
            if (!text.StartsWith(Prefix, StringComparison.Ordinal))
            {
                throw new FormatException($"line {line} is no request of a decision log");
            }

            if (text.StartsWith(wanted, StringComparison.Ordinal))
            {
                try
                {
                    return JsonSerializer.Deserialize<LoggedRequest>(text, Json);
                }
                catch (JsonException exception)
                {
                    throw new FormatException($"line {line}: {exception.Message}", exception);
                }
            }
        }

        return null;
    }

    /// <inheritdoc/>
    public void Decided(long number, LoggedDecision decision) =>
        _underWay[number] = _underWay.TryGetValue(number, out var before) ? before.Add(decision) : [decision];

    /// <inheritdoc/>
    public void Infeasible(long number, in Arrival arrival, long deadlineUs) => Write(new()
    {
        Number = number,
        Tenant = scenario.Tenants[arrival.Tenant].Tenant,
        Model = scenario.Tenants[arrival.Tenant].Model,
        Class = scenario.Tenants[arrival.Tenant].Class,
        ArrivedSeconds = Seconds(arrival.AtUs),
        DeadlineSeconds = Seconds(deadlineUs),
        InputTokens = arrival.InputTokens,
        OutputTokens = arrival.OutputTokens,
        Outcome = RequestOutcome.Infeasible,
    });

    /// <inheritdoc/>
    public void Ended(in Request request, Pool pool, long nowUs)
    {
        var outcome = request.IsCutOff ? RequestOutcome.CutOff
            : nowUs > request.DeadlineUs ? RequestOutcome.Late
            : pool.Variant.Quality < scenario.Tenants[request.Tenant].MinQuality ? RequestOutcome.BelowQuality
            : RequestOutcome.InTime;
        Write(Of(request, nowUs, outcome) with { Lane = pool.LaneDefinition.Lane, Variant = pool.Variant.Name, StartedSeconds = Seconds(request.StartedUs) });
    }

    /// <inheritdoc/>
    public void Missed(in Request request, long nowUs) => Write(Of(request, nowUs, RequestOutcome.Missed));

    private LoggedRequest Of(in Request request, long nowUs, RequestOutcome outcome)
    {
        _underWay.Remove(request.Number, out var decisions);
        return new()
        {
            Number = request.Number,
            Tenant = scenario.Tenants[request.Tenant].Tenant,
            Model = scenario.Tenants[request.Tenant].Model,
            Class = request.Class,
            ArrivedSeconds = Seconds(request.ArrivedUs),
            DeadlineSeconds = Seconds(request.DeadlineUs),
            InputTokens = request.InputTokens,
            OutputTokens = request.OutputTokens,
            Outcome = outcome,
            EndedSeconds = Seconds(nowUs),
            Decisions = decisions.IsDefault ? [] : decisions,
        };
    }

    private void Write(LoggedRequest request)
    {
        JsonSerializer.Serialize(stream, request, Json);
        stream.WriteByte((byte)'\n');
    }

    private static decimal Seconds(long us) => us / 1_000_000m;
}
