using System.Globalization;

namespace OrleansInference.Batch;

/// <summary>What a record's caller is told of its failure: SageMaker fails whole objects, so whether it was this record is known only of one that was alone in its object.</summary>
internal static class RecordFailure
{
    /// <summary>The message for the records of a failed object that is not tried again.</summary>
    /// <param name="reason">What is known of the object's failure; null if nothing.</param>
    /// <param name="records">Records of the object.</param>
    /// <param name="mayPass">Whether the records are not to blame.</param>
    public static string Of(string? reason, int records, bool mayPass)
    {
        var why = reason ?? "The transform job gave no output for it.";
        return mayPass ? why
            : records == 1 ? $"The model did not answer this record: {why}"
            : string.Create(CultureInfo.InvariantCulture, $"The model did not answer this record or another of the {records} in its object: {why}");
    }
}
