using Microsoft.AspNetCore.OpenApi;
using Microsoft.OpenApi;

namespace OrleansInference.FrontDoor;

/// <summary>What the OpenAPI document says beyond the routes: the headers of a request, the keys, problem details.</summary>
internal static class OpenApiDescription
{
    private static readonly (string Field, string Text)[] Fields =
    [
        (RoutingFields.Class, "High, Medium or Low; sets the default deadline and the queueing order."),
        (RoutingFields.Deadline, "Time from arrival until the answer is worthless: " + DurationText.Description + "."),
        (RoutingFields.MinQuality, "Lowest acceptable quality of a variant, 0 to 1."),
        (RoutingFields.MaxCharge, "The most this request may be charged, in dollars."),
        (RoutingFields.Lanes, "Only these lanes may serve: Realtime, Serverless, Async, Batch, separated by commas."),
        (RoutingFields.InputTokens, "Input tokens, if known; else four bytes a token are assumed."),
        (RoutingFields.MaxOutputTokens, "The most output tokens asked for."),
        (RoutingFields.IdempotencyKey, "A key, at most 255 characters, under which a repetition gives the same answer or job and one charge."),
        (RoutingFields.Webhook, "An https address that is told the end of the request if it becomes a job, signed with the tenant's webhook secret."),
    ];

    public static void Configure(OpenApiOptions options)
    {
        options.AddDocumentTransformer(static (document, _, _) =>
        {
            document.Info = new() { Title = "OrleansInference", Version = "v1", Description = "Routes every request by the cheapest way that meets its deadline, inside the tenant's budget." };
            document.Components ??= new();
            document.Components.SecuritySchemes = new Dictionary<string, IOpenApiSecurityScheme>(StringComparer.Ordinal)
            {
                ["bearer"] = new OpenApiSecurityScheme { Type = SecuritySchemeType.Http, Scheme = "bearer", Description = "An API key, or the admin key." },
                ["apiKey"] = new OpenApiSecurityScheme { Type = SecuritySchemeType.ApiKey, In = ParameterLocation.Header, Name = "X-Api-Key", Description = "An API key, or the admin key." },
            };
            document.Security = [new() { [new("bearer", document)] = [] }, new() { [new("apiKey", document)] = [] }];
            return Task.CompletedTask;
        });
        options.AddOperationTransformer(static (operation, context, _) =>
        {
            operation.Responses ??= [];
            if (context.Description.RelativePath?.StartsWith("v1/", StringComparison.Ordinal) == true)
            {
                operation.Responses["default"] = new OpenApiResponse { Description = "Problem details (RFC 9457) with a code.", Content = new Dictionary<string, OpenApiMediaType>(StringComparer.Ordinal) { ["application/problem+json"] = new() } };
            }

            if (operation.Tags?.Any(static tag => tag.Name == "Invocations") == true)
            {
                Describe(operation);
            }
            else if (operation.OperationId == "CreateBatch")
            {
                DescribeBatch(operation);
            }

            return Task.CompletedTask;
        });
        options.AddSchemaTransformer(static (schema, context, _) =>
        {
            if (context.JsonTypeInfo.Type == typeof(Money))
            {
                schema.Type = JsonSchemaType.String;
                schema.Description = "Dollars, with up to nine decimals.";
            }
            else if (context.JsonTypeInfo.Type is var type && (type == typeof(TenantId) || type == typeof(ModelName) || type == typeof(VariantName) || type == typeof(EndpointName)))
            {
                schema.Type = JsonSchemaType.String;
                schema.MaxLength = NameRule.MaxLength;
            }

            else if ((Nullable.GetUnderlyingType(context.JsonTypeInfo.Type) ?? context.JsonTypeInfo.Type) is { IsEnum: true } names)
            {
                schema.Type = JsonSchemaType.String | (names == context.JsonTypeInfo.Type ? 0 : JsonSchemaType.Null);
                schema.Enum = [.. Enum.GetNames(names).Select(static name => (System.Text.Json.Nodes.JsonNode)name)];
            }
            else if (context.JsonTypeInfo.Type == typeof(double) || context.JsonTypeInfo.Type == typeof(double?))
            {
                // The reader's leave to write NaN in quotes would make every number an object that is one of two.
                schema.Type = JsonSchemaType.Number | (context.JsonTypeInfo.Type == typeof(double) ? 0 : JsonSchemaType.Null);
                schema.AnyOf = null;
                schema.Format = "double";
            }

            return Task.CompletedTask;
        });
    }

    private static void Describe(OpenApiOperation operation)
    {
        operation.RequestBody = new OpenApiRequestBody
        {
            Description = "The model's input, as the model takes it.",
            Content = new Dictionary<string, OpenApiMediaType>(StringComparer.Ordinal) { ["application/json"] = new(), ["application/octet-stream"] = new() },
        };
        AddFields(operation, static _ => true);
        operation.Parameters!.Add(new OpenApiParameter { Name = "Prefer", In = ParameterLocation.Header, Description = "respond-async: a job is taken instead of an answer where that is cheaper.", Schema = new OpenApiSchema { Type = JsonSchemaType.String } });
    }

    private static void DescribeBatch(OpenApiOperation operation)
    {
        var location = new OpenApiSchema
        {
            Type = JsonSchemaType.Object,
            Required = new HashSet<string>(StringComparer.Ordinal) { BatchOperations.Input },
            Properties = new Dictionary<string, IOpenApiSchema>(StringComparer.Ordinal)
            {
                [BatchOperations.Input] = new OpenApiSchema { Type = JsonSchemaType.String, Description = "s3:// prefix of objects of JSON lines, below the tenant's own." },
            },
        };
        operation.RequestBody = new OpenApiRequestBody
        {
            Description = "The records, one JSON value a line; or, as application/json, where they are.",
            Content = new Dictionary<string, OpenApiMediaType>(StringComparer.Ordinal) { [BatchOperations.JsonLines] = new(), ["application/json"] = new() { Schema = location } },
        };
        AddFields(operation, static field => field != RoutingFields.InputTokens);
    }

    private static void AddFields(OpenApiOperation operation, Func<string, bool> has)
    {
        operation.Parameters ??= [];
        foreach (var (field, text) in Fields)
        {
            if (has(field))
            {
                operation.Parameters.Add(new OpenApiParameter { Name = RequestHeaders.Of(field), In = ParameterLocation.Header, Description = text, Schema = new OpenApiSchema { Type = JsonSchemaType.String } });
            }
        }
    }
}
