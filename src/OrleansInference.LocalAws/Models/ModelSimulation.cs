namespace OrleansInference.LocalAws.Models;

/// <summary>Draws what a model does with each request. Safe for use by many threads; draws follow a seed in order of arrival.</summary>
internal sealed class ModelSimulation
{
    private const double MeanOutputTokens = 128;
    private readonly SimulatedModel _model;
    private readonly int _maxOutputTokens;
    private readonly Random _random;
    private readonly Lock _gate = new();

    public ModelSimulation(SimulatedModel model, int maxOutputTokens, int seed, string name)
    {
        _model = model;
        _maxOutputTokens = maxOutputTokens;
        _random = new(HashCode32(name) ^ seed);
    }

    public SimulatedModel Parameters => _model;

    /// <summary>Reads a request and draws its run.</summary>
    /// <exception cref="ContainerFault">The body is not what the model understands.</exception>
    public ModelRun Begin(ReadOnlyMemory<byte> body)
    {
        var input = ModelInput.Parse(body);
        double drawn, factor;
        bool fails;
        lock (_gate)
        {
            drawn = -Math.Log(1 - _random.NextDouble()) * MeanOutputTokens;
            factor = _model.Jitter > 0 ? Math.Exp(_model.Jitter * NextNormal_NeedsLock()) : 1;
            fails = _random.NextDouble() < _model.ErrorRate;
        }

        var output = input.OutputTokens ?? 1 + (int)drawn;
        output = Math.Min(output, Math.Min(input.MaxNewTokens ?? int.MaxValue, _maxOutputTokens > 0 ? _maxOutputTokens : int.MaxValue));
        var first = (_model.BaseSeconds + (input.InputTokens / _model.PrefillTokensPerSecond)) * factor;
        var decode = _model.DecodeTokensPerSecond > 0 ? output / _model.DecodeTokensPerSecond * factor : 0;
        return new(input.InputTokens, output, Seconds(first), Seconds(first + decode), fails);
    }

    private static TimeSpan Seconds(double seconds) => TimeSpan.FromSeconds(Math.Min(seconds, 1e7));

    // string.GetHashCode differs from process to process; a seed must not.
    private static int HashCode32(string name)
    {
        var hash = 2166136261u;
        foreach (var c in name)
        {
            hash = (hash ^ c) * 16777619;
        }

        return (int)hash;
    }

    // Box–Muller.
    private double NextNormal_NeedsLock() =>
        Math.Sqrt(-2 * Math.Log(1 - _random.NextDouble())) * Math.Cos(2 * Math.PI * _random.NextDouble());
}
