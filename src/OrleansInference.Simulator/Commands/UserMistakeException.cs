namespace OrleansInference.Simulator.Commands;

/// <summary>Something that whoever gave the command can put right: told in its message, and no defect.</summary>
internal sealed class UserMistakeException(string message, Exception? inner = null) : Exception(message, inner);
