using OrleansInference.Diagnosis;

namespace OrleansInference.Tests.Diagnosis;

public sealed class DoctorTests
{
    [Fact]
    public void A_clock_that_is_as_near_as_an_answer_can_tell_is_not_said_to_be_off()
    {
        Assert.Equal("as that of aws, as near as its answers tell", Doctor.Difference(TimeSpan.FromSeconds(2.1), "aws"));
        Assert.Equal("as that of aws, as near as its answers tell", Doctor.Difference(TimeSpan.FromSeconds(-0.4), "aws"));
        Assert.Equal("7 s ahead of aws", Doctor.Difference(TimeSpan.FromSeconds(7.2), "aws"));
        Assert.Equal("300 s behind aws", Doctor.Difference(TimeSpan.FromMinutes(-5), "aws"));
    }
}
