namespace OrleansInference.Ingest;

/// <summary>A queue that the settings name does not exist.</summary>
internal sealed class MissingQueueException(string queue) : Exception($"There is no queue '{queue}'.");
