using OrleansInference.Routing;

namespace OrleansInference.Tests.Routing;

public sealed class CalibrationTests
{
    [Fact]
    public void Every_lane_and_class_is_counted_apart_and_in_the_whole()
    {
        var calibration = new Calibration();
        calibration.Record(Lane.Realtime, TrafficClass.High, 0.995, true);
        calibration.Record(Lane.Realtime, TrafficClass.Low, 0.997, false);
        calibration.Record(Lane.Batch, TrafficClass.Low, 1, true);
        calibration.Record(Lane.Async, TrafficClass.Medium, 0.4, false);
        Assert.Equal(4, calibration.Bins().Sum(static bin => bin.Quoted));
        Assert.Equal((2, 1), Of(calibration, Lane.Realtime, null));
        Assert.Equal((2, 1), Of(calibration, null, TrafficClass.Low));
        Assert.Equal((1, 0), Of(calibration, Lane.Realtime, TrafficClass.Low));
        Assert.Equal((0, 0), Of(calibration, Lane.Serverless, null));
        Assert.Equal(2.0 / 3, calibration.ShareInTime(0.99));
        Assert.Null(new Calibration().ShareInTime(0.99));
        Assert.Equal(0.995, Calibration.FloorOf(0.997));
    }

    private static (long Quoted, long InTime) Of(Calibration calibration, Lane? lane, TrafficClass? trafficClass)
    {
        var bins = calibration.Bins(lane, trafficClass);
        return (bins.Sum(static bin => bin.Quoted), bins.Sum(static bin => bin.InTime));
    }
}
