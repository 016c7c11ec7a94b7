using OrleansInference.Configuration;
using OrleansInference.Diagnosis;
using OrleansInference.Hosting;
using OrleansInference.Keys;
using OrleansInference.Tests.Hosting;

namespace OrleansInference.Tests.Keys;

public sealed class MasterKeyTests
{
    [Fact]
    public void A_secret_opens_only_under_its_key_for_its_owner_and_unchanged()
    {
        using var key = new MasterKey(new byte[32]);
        using var other = new MasterKey([.. Enumerable.Repeat((byte)1, 32)]);
        var sealedSecret = key.Encrypt("secret", "OI/acme");
        Assert.Equal("secret", key.Decrypt(sealedSecret, "OI/acme"));
        Assert.Null(key.Decrypt(sealedSecret, "OI/other"));
        Assert.Null(other.Decrypt(sealedSecret, "OI/acme"));
        sealedSecret[^1] ^= 1;
        Assert.Null(key.Decrypt(sealedSecret, "OI/acme"));
        Assert.Null(key.Decrypt([1, 2, 3], "OI/acme"));
    }

    [Fact]
    public void A_fingerprint_tells_keys_apart_and_is_none_of_what_a_key_is_used_for()
    {
        using var key = new MasterKey(new byte[32]);
        using var same = new MasterKey(new byte[32]);
        using var other = new MasterKey([.. Enumerable.Repeat((byte)1, 32)]);
        Assert.Equal(key.Fingerprint, same.Fingerprint);
        Assert.NotEqual(key.Fingerprint, other.Fingerprint);

        // It is stored: another release must find the same.
        Assert.Equal("4D75CE88A8426E51ED5508ACF2CF92C4", key.Fingerprint);
    }

    [Fact]
    public async Task The_state_of_a_data_folder_belongs_to_the_first_master_key_alone()
    {
        var folder = Directory.CreateTempSubdirectory("oi-keys-").FullName;
        try
        {
            var settings = new ServerSettings { DataFolder = folder, Catalog = LiveServer.Catalog(), Urls = ["http://127.0.0.1:0"], LogLevel = Microsoft.Extensions.Logging.LogLevel.None };
            Assert.Equal((FindingState.Ok, "the state belongs to none yet; the first server that starts makes its own the one"), await FindAsync(settings));
            Assert.Empty(Directory.EnumerateFileSystemEntries(folder));
            await StartAsync(settings);
            await StartAsync(settings);
            Assert.Equal((FindingState.Ok, "it is the one that the state belongs to"), await FindAsync(settings));

            // Another key of the settings, another file, and none.
            await RefusedAsync(settings with { MasterKey = Convert.ToBase64String(new byte[32]) }, "MasterKey: it is not the one that the state in");
            var file = Path.Combine(folder, "master.key");
            var key = await File.ReadAllTextAsync(file, TestContext.Current.CancellationToken);
            await File.WriteAllTextAsync(file, Convert.ToBase64String(new byte[32]), TestContext.Current.CancellationToken);
            await RefusedAsync(settings, $"{file}: it is not the one that the state in {folder} belongs to");
            File.Delete(file);
            var (state, detail) = await FindAsync(settings);
            Assert.Equal(FindingState.Wrong, state);
            Assert.StartsWith($"{file}: it is missing, and must be the one that the state in {folder} belongs to", detail, StringComparison.Ordinal);
            Assert.StartsWith($"{file}: it is not", Assert.Single((await Assert.ThrowsAsync<ConfigurationException>(() => StartAsync(settings))).Problems), StringComparison.Ordinal);
            Assert.False(File.Exists(file));

            await File.WriteAllTextAsync(file, key, TestContext.Current.CancellationToken);
            await StartAsync(settings);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static async Task StartAsync(ServerSettings settings)
    {
        await using var server = await ServerHost.StartAsync(settings, TestContext.Current.CancellationToken);
    }

    private static async Task RefusedAsync(ServerSettings settings, string begin)
    {
        var (state, detail) = await FindAsync(settings);
        Assert.Equal(FindingState.Wrong, state);
        Assert.StartsWith(begin, detail, StringComparison.Ordinal);
        var problem = Assert.Single((await Assert.ThrowsAsync<ConfigurationException>(() => StartAsync(settings))).Problems);
        Assert.StartsWith(begin, problem, StringComparison.Ordinal);
        Assert.Contains("Put back the one that was there.", problem, StringComparison.Ordinal);
    }

    private static async Task<(FindingState, string)> FindAsync(ServerSettings settings)
    {
        using var doctor = new Doctor(settings);
        await foreach (var finding in doctor.ExamineAsync(TestContext.Current.CancellationToken))
        {
            if (finding.Dependency == "master key")
            {
                return (finding.State, finding.Detail);
            }
        }

        throw new InvalidOperationException("Doctor did not look at the master key.");
    }

    [Fact]
    public void A_secret_file_is_made_once_for_its_owner_alone()
    {
        var folder = Directory.CreateTempSubdirectory("oi-keys-").FullName;
        try
        {
            var path = Path.Combine(folder, "admin.key");
            var key = SecretFile.ReadOrCreate(path, AdminKey.New, out var created);
            Assert.True(created);
            Assert.Equal(key, SecretFile.ReadOrCreate(path, AdminKey.New, out created));
            Assert.False(created);
            if (!OperatingSystem.IsWindows())
            {
                Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(path));
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
