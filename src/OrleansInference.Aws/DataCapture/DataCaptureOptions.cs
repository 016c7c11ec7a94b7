namespace OrleansInference.Aws;

/// <summary>Which calls of models are captured, and where.</summary>
public sealed class DataCaptureOptions
{
    /// <summary>Share of the calls that are captured, in percent; greater than 0, at most 100.</summary>
    public double Percent { get; set; } = 100;

    /// <summary>Bucket of the captures.</summary>
    public string Bucket { get; set; } = "";

    /// <summary>Key prefix below which they are: <c>{prefix}/{endpoint}/{variant}/yyyy/MM/dd/HH/….jsonl</c>, as SageMaker has it.</summary>
    public string Prefix { get; set; } = "data-capture";

    /// <summary>Paths of what is blanked out in JSON bodies, such as <c>$.user.email</c>; see <see cref="JsonPath"/>. With any, a body that is not JSON is not captured.</summary>
    public IReadOnlyList<string> Redact { get; set; } = [];

    /// <summary>Largest body that is captured, in bytes; a call with a larger one is left out.</summary>
    public int MaxBodyBytes { get; set; } = 1 << 20;

    /// <summary>Calls that may wait to be written; beyond it they are left out.</summary>
    public int MaxPending { get; set; } = 1_000;

    /// <summary>How long a call waits at most until it is written together with others.</summary>
    public TimeSpan FlushEvery { get; set; } = TimeSpan.FromSeconds(60);

    /// <summary>Bytes at which an object is full.</summary>
    public int ObjectBytes { get; set; } = 4 << 20;
}
