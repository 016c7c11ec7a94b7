using System.Globalization;
using Spectre.Console;

namespace OrleansInference.Simulator.Commands;

/// <summary>Shows stages as they go on: bars with the time left on a terminal, plain lines now and then elsewhere.</summary>
internal sealed class ProgressView
{
    private static readonly TimeSpan FrameEvery = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan LineEvery = TimeSpan.FromSeconds(10);
    private readonly TextWriter _writer;
    private readonly IAnsiConsole _console;

    public ProgressView(TextWriter writer)
    {
        _writer = writer;
        _console = AnsiConsole.Create(new() { Out = new AnsiConsoleOutput(writer) });
    }

    private bool IsTerminal => _console.Profile.Out.IsTerminal && _console.Profile.Capabilities.Ansi;

    /// <summary>Shows the stages until the work ends, and answers what it gives.</summary>
    /// <param name="stages">The stages.</param>
    /// <param name="work">The work; it ends soon after the token asks for that.</param>
    public async Task<T> ShowAsync<T>(IReadOnlyList<Stage> stages, Task<T> work)
    {
        if (IsTerminal)
        {
            await _console.Progress()
                .AutoClear(true)
                .Columns(new TaskDescriptionColumn { Alignment = Justify.Left }, new ProgressBarColumn(), new PercentageColumn(), new RemainingTimeColumn(), new SpinnerColumn())
                .StartAsync(context => BarsAsync(context, stages, work));
        }
        else
        {
            await LinesAsync(stages, work);
        }

        return await work;
    }

    private static async Task BarsAsync(ProgressContext context, IReadOnlyList<Stage> stages, Task work)
    {
        var bars = stages.Select(stage => context.AddTask(Markup.Escape(stage.Name), autoStart: false, maxValue: 1)).ToList();
        bool ends;
        do
        {
            await Task.WhenAny(work, Task.Delay(FrameEvery, CancellationToken.None));
            ends = work.IsCompleted;
            for (var i = 0; i < bars.Count; i++)
            {
                var (bar, stage) = (bars[i], stages[i]);
                if (!stage.HasBegun)
                {
                    continue;
                }

                if (!bar.IsStarted)
                {
                    bar.StartTask();
                }

                bar.IsIndeterminate = stage.Preparing is not null;
                bar.Description = Markup.Escape(stage.Preparing is { } what ? $"{stage.Name} ({what})" : stage.Name);
                bar.Value = stage.Share;
            }
        }
        while (!ends);
    }

    private async Task LinesAsync(IReadOnlyList<Stage> stages, Task work)
    {
        var told = new HashSet<Stage>();
        while (await Task.WhenAny(work, Task.Delay(LineEvery, CancellationToken.None)) != work)
        {
            foreach (var stage in stages.Where(stage => stage.HasBegun && told.Add(stage) | stage.Share < 1))
            {
                var left = stage.Left is { } time ? string.Create(CultureInfo.InvariantCulture, $", {Math.Ceiling(time.TotalSeconds)} s left") : "";
                await _writer.WriteLineAsync(string.Create(CultureInfo.InvariantCulture, $"{stage.Name}: {stage.Preparing ?? $"{stage.Share * 100:0} %{left}"}"));
            }
        }
    }
}
