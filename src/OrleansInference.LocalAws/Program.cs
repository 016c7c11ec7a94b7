using OrleansInference.LocalAws;

return await LocalAwsCommand.RunAsync(args);
