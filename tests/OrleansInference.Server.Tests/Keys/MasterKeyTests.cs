using OrleansInference.Keys;

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
