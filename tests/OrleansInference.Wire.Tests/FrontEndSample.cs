using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using OrleansInference.Client;

namespace OrleansInference.Tests;

/// <summary>The README's sample of a front-end service, line by line.</summary>
internal static class FrontEndSample
{
    public static async Task<InferenceOutcome> RunAsync(int gatewayPort)
    {
        var builder = Host.CreateApplicationBuilder();
        builder.AddOrleansInferenceClient(client => client.UseLocalhostClustering(gatewayPort));
        using var host = builder.Build();
        await host.StartAsync();

        var inference = host.Services.GetRequiredService<IInferenceClient>();
        var outcome = await inference.InvokeAsync(new()
        {
            Tenant = new("acme"),
            Model = new("chat"),
            Body = """{"inputs":"Where is my parcel?"}"""u8.ToArray(),
            Class = TrafficClass.High,
        });
        Console.WriteLine(outcome.IsAnswer
            ? $"{outcome.Route!.Lane} on {outcome.Route.Endpoint}, charged ${outcome.Route.Charge}"
            : $"{outcome.Problem!.Code}: {outcome.Problem.Message}");
        await host.StopAsync();
        return outcome;
    }
}
