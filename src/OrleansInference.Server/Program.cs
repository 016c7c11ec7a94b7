return await OrleansInference.Hosting.ServeCommand.RunAsync(args);
