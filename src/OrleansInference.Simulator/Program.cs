using OrleansInference.Simulator.Commands;

return await SimulatorCommand.RunAsync(args);
