using System.Text;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using OrleansInference.Keys;

namespace OrleansInference.FrontDoor;

/// <summary>Puts the front door into a web host that has a dispatcher, jobs, grains, an audit log and a master key.</summary>
internal static class FrontDoorHosting
{
    private static readonly UTF8Encoding LenientUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: false);

    public static IServiceCollection AddFrontDoor(this IServiceCollection services, FrontDoorOptions options, TimeSpan keyLifetime)
    {
        services.AddSingleton(options);
        services.AddSingleton<KeyFormat>();
        services.AddSingleton(provider => ActivatorUtilities.CreateInstance<KeyDirectory>(provider, keyLifetime));
        services.AddSingleton<Authenticator>();
        services.AddSingleton<SageMakerDialect>();
        services.AddSingleton<Invocations>();
        services.AddSingleton<JobOperations>();
        services.AddSingleton<BatchOperations>();
        services.AddSingleton<Views>();
        services.AddSingleton<Administration>();
        services.AddSingleton<Readiness>();

        // By default the web server answers a header that is not UTF-8 with an empty 400 of its own. Read with replacement characters,
        // it reaches the code that names it.
        services.Configure<KestrelServerOptions>(static kestrel => kestrel.RequestHeaderEncodingSelector = static _ => LenientUtf8);
        services.ConfigureHttpJsonOptions(static json => FrontDoorJson.Configure(json.SerializerOptions));
        services.AddOpenApi("v1", OpenApiDescription.Configure);
        return services;
    }

    public static void MapFrontDoor(this WebApplication app)
    {
        app.UseMiddleware<FaultShield>();
        app.UseRouting();
        SageMakerDialect.Map(app);
        Invocations.Map(app);
        JobOperations.Map(app);
        BatchOperations.Map(app);
        Views.Map(app);
        Administration.Map(app);
        Readiness.Map(app);
        app.MapOpenApi("/openapi/{documentName}.json");
    }
}
