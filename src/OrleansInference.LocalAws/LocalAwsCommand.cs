using System.CommandLine;
using System.Net;
using System.Text.Json;

namespace OrleansInference.LocalAws;

/// <summary>The command that starts an embedded AWS alone.</summary>
public static class LocalAwsCommand
{
    /// <summary>Exit code: the catalog cannot be read or breaks its rules.</summary>
    public const int CatalogExitCode = 2;

    /// <summary>Exit code: the port cannot be used.</summary>
    public const int PortExitCode = 3;

    /// <summary>Exit code: the data folder cannot be used.</summary>
    public const int DataFolderExitCode = 4;

    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web) { ReadCommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true };

    private const string About = "Serves SageMaker Runtime and control plane, S3 and SQS, and DynamoDB if there is a dynalite, on one port, with simulated models. The bucket orleans-inference is there from the start.";

    /// <summary>Runs the command until it is asked to end, and returns its exit code.</summary>
    public static async Task<int> RunAsync(string[] args, CancellationToken cancellationToken = default) =>
        await Configure(new RootCommand(About)).Parse(args).InvokeAsync(cancellationToken: cancellationToken);

    /// <summary>The command as part of another command line.</summary>
    public static Command Create() => Configure(new("local-aws", About));

    private static Command Configure(Command command)
    {
        var catalog = new Option<FileInfo?>("--catalog") { Description = "JSON file of the catalog whose endpoints and models are simulated." };
        var port = new Option<int>("--port") { Description = "Port; 0 takes a free one.", DefaultValueFactory = _ => 0 };
        var address = new Option<IPAddress>("--address")
        {
            Description = "Address to listen on; beyond loopback it serves whoever reaches it. Default: 127.0.0.1.",
            DefaultValueFactory = _ => IPAddress.Loopback,
            CustomParser = static result =>
            {
                if (result.Tokens is [var token] && IPAddress.TryParse(token.Value, out var parsed))
                {
                    return parsed;
                }

                result.AddError("--address must be an IP address, such as 127.0.0.1 or 0.0.0.0.");
                return null;
            },
        };
        var data = new Option<DirectoryInfo?>("--data") { Description = "Folder that keeps everything over a restart; without it everything is in memory." };
        var speed = new Option<double>("--speed") { Description = "How many times faster than life models, instances and jobs run, 1 to 1000.", DefaultValueFactory = _ => 1 };
        var seed = new Option<int>("--seed") { Description = "Seed of what is drawn by chance.", DefaultValueFactory = _ => 1 };
        var queue = new Option<string?>("--notification-queue") { Description = "SQS queue that gets the notifications of asynchronous endpoints." };
        var dynalite = new Option<Uri?>("--dynalite")
        {
            Description = "Address of a dynalite (npx dynalite --port 4567), such as http://127.0.0.1:4567: then DynamoDB is served too, with the transactions that dynalite lacks.",
            CustomParser = static result =>
            {
                if (result.Tokens is [var token] && Uri.TryCreate(token.Value, UriKind.Absolute, out var parsed) && parsed.Scheme == Uri.UriSchemeHttp && parsed.Host.Length > 0 && parsed.PathAndQuery == "/")
                {
                    return parsed;
                }

                result.AddError("--dynalite must be an address such as http://127.0.0.1:4567.");
                return null;
            },
        };
        port.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int>() is < 0 or > 65_535)
            {
                result.AddError("--port must be from 0 to 65535.");
            }
        });
        speed.Validators.Add(result =>
        {
            if (!(result.GetValueOrDefault<double>() is >= 1 and <= 1000))
            {
                result.AddError("--speed must be from 1 to 1000.");
            }
        });
        foreach (var option in (Option[])[catalog, address, port, data, speed, seed, queue, dynalite])
        {
            command.Options.Add(option);
        }

        command.SetAction((parsed, cancel) => ServeAsync(
            new()
            {
                Address = parsed.GetValue(address)!,
                Port = parsed.GetValue(port),
                DataFolder = parsed.GetValue(data)?.FullName,
                Speed = parsed.GetValue(speed),
                Seed = parsed.GetValue(seed),
                NotificationQueue = parsed.GetValue(queue),
                Dynalite = parsed.GetValue(dynalite),
            },
            parsed.GetValue(catalog),
            parsed.InvocationConfiguration,
            cancel));
        return command;
    }

    private static async Task<int> ServeAsync(LocalAwsOptions options, FileInfo? catalog, InvocationConfiguration console, CancellationToken cancellationToken)
    {
        try
        {
            var definition = catalog is null ? null : await ReadAsync(catalog, cancellationToken);
            await using var server = await LocalAwsServer.StartAsync(options, cancellationToken);
            if (definition is not null)
            {
                await server.ApplyCatalogAsync(definition);
            }

            await console.Output.WriteLineAsync($"Embedded AWS at {server.Address} (Ctrl+C ends it)");
            await console.Output.FlushAsync(cancellationToken);
            await Task.Delay(Timeout.Infinite, cancellationToken);
        }
        catch (OperationCanceledException)
        {
            return 0;
        }
        catch (LocalAwsException exception)
        {
            await console.Error.WriteLineAsync(exception.Message);
            return exception.Problem switch
            {
                LocalAwsProblem.Catalog => CatalogExitCode,
                LocalAwsProblem.Port => PortExitCode,
                _ => DataFolderExitCode,
            };
        }

        return 0;
    }

    private static async Task<CatalogDefinition> ReadAsync(FileInfo file, CancellationToken cancellationToken)
    {
        try
        {
            await using var stream = file.OpenRead();
            return await JsonSerializer.DeserializeAsync<CatalogDefinition>(stream, Json, cancellationToken)
                ?? throw new LocalAwsException(LocalAwsProblem.Catalog, $"The catalog file '{file.FullName}' is null: it must be a JSON object.");
        }
        catch (JsonException exception)
        {
            throw new LocalAwsException(LocalAwsProblem.Catalog, $"The catalog file '{file.FullName}' cannot be read at '{exception.Path}', line {exception.LineNumber + 1}: {exception.Message}", exception);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new LocalAwsException(LocalAwsProblem.Catalog, $"The catalog file '{file.FullName}' cannot be read: {exception.Message}", exception);
        }
    }
}
