namespace OrleansInference.Tests;

/// <summary>A mistake made on purpose, and what the linter is to say of it.</summary>
internal sealed record Mutation(string Name, string File, string Find, string Replacement, string Expected)
{
    private const string State = "cloudformation/state.yaml";
    private const string Lanes = "cloudformation/lanes.yaml";
    private const string Router = "cloudformation/router.yaml";
    private const string Monitoring = "cloudformation/monitoring.yaml";
    private const string Deployment = "kubernetes/deployment.yaml";

    public static IReadOnlyList<Mutation> All { get; } =
    [
        new("resource-type", State, "AWS::SQS::QueuePolicy", "AWS::SQS::QueuesPolicy", "no resource type 'AWS::SQS::QueuesPolicy'"),
        new("property", State, "SqsManagedSseEnabled", "ManagedSse", "AWS::SQS::Queue has no property ManagedSse"),
        new("property-within", State, "PointInTimeRecoveryEnabled", "Enabled", "PointInTimeRecoverySpecification has no property Enabled"),
        new("property-in-list", Router, "Field: path-pattern", "Fields: path-pattern", "has no property Fields"),
        new("required", Lanes, "      EndpointConfigName: !GetAtt RealtimeConfig.EndpointConfigName\n", "", "AWS::SageMaker::Endpoint needs the property EndpointConfigName"),
        new("required-within", State, "        Enabled: true\n", "", "TimeToLiveSpecification needs the property Enabled"),
        new("boolean", State, "DeletionProtectionEnabled: true", "DeletionProtectionEnabled: perhaps", "must be true or false"),
        new("number", State, "VisibilityTimeout: 60", "VisibilityTimeout: a minute", "must be a whole number"),
        new("list", Router, "SecurityGroups: [!Ref SiloSecurityGroup]", "SecurityGroups: silos", "must be a list"),
        new("value", Router, "LaunchType: FARGATE", "LaunchType: FARGAT", "must be one of EC2, FARGATE"),
        new("value-of-alarm", Monitoring, "TreatMissingData: breaching", "TreatMissingData: bad", "must be one of breaching"),
        new("retention", State, "DeletionPolicy: Retain", "DeletionPolicy: Keep", "DeletionPolicy 'Keep' is not known"),
        new("attribute", State, "!GetAtt NotificationQueue.Arn", "!GetAtt NotificationQueue.Url", "AWS::SQS::Queue has no attribute Url"),
        new("reference", State, "TopicArn: !Ref SuccessTopic", "TopicArn: !Ref SucessTopic", "refers to 'SucessTopic'"),
        new("substitution", State, "${PayloadBucket.Arn}/*", "${PayloadsBucket.Arn}/*", "refers to 'PayloadsBucket'"),
        new("condition", Router, "[HasCertificate, HTTPS, HTTP]", "[HasCertificat, HTTPS, HTTP]", "no condition 'HasCertificat'"),
        new("import", Router, "${StateStack}-AdminKey", "${StateStack}-AdminKeys", "no template exports"),
        new("depends-on", Router, "DependsOn: Listener", "DependsOn: Listeners", "depends on 'Listeners'"),
        new("section", State, "\nOutputs:", "\nOutput:", "no such section"),
        new("alias", State, "  NotificationQueue:\n    Type", "  NotificationQueue: &queue\n    Type", "no anchors and aliases"),
        new("key-twice", State, "      BillingMode: PAY_PER_REQUEST\n", "      BillingMode: PAY_PER_REQUEST\n      BillingMode: PAY_PER_REQUEST\n", "keys must be unique"),
        new("default", Router, "Default: internal\n", "Default: external\n", "the default 'external' is not allowed"),
        new("unused-parameter", State, "Parameters:\n", "Parameters:\n  Nothing:\n    Type: String\n", "nothing uses it"),
        new("action", Router, "sagemaker:InvokeEndpointAsync", "sagemaker:InvokeAsyncEndpoint", "no action 'sagemaker:InvokeAsyncEndpoint'"),
        new("any-action", Router, "s3:GetObject", "s3:Get*", "allows what nobody has named"),
        new("any-resource", Router, "Resource: !Sub 'arn:${AWS::Partition}:sagemaker:${AWS::Region}:${AWS::AccountId}:transform-job/oi-*'", "Resource: '*'", "can be given for named resources"),
        new("metric", Monitoring, "MetricName: ApproximateAgeOfOldestMessage", "MetricName: AgeOfOldestMessage", "AWS/SQS has no metric 'AgeOfOldestMessage'"),
        new("metric-id", Monitoring, "FILL(failed, 0) + FILL(answered, 0) < 20", "FILL(fails, 0) < 20", "names 'fails'"),
        new("collector", Router, "processors: [memory_limiter, filter, resourcedetection, resource, batch]", "processors: [memory_limiter, filters, resourcedetection, resource, batch]", "names 'filters'"),
        new("member", Deployment, "maxSurge: 1", "maxSurges: 1", "has no member maxSurges"),
        new("member-of-container", Deployment, "readOnlyRootFilesystem", "readonlyRootFilesystem", "has no member readonlyRootFilesystem"),
        new("member-type", Deployment, "replicas: 3", "replicas: three", "replicas"),
        new("member-required", Deployment, "- name: silo\n          image: orleans-inference", "- image: orleans-inference", "needs name"),
        new("text-of-config-map", "kubernetes/configmap.yaml", "\"11111\"", "11111", "SiloPort"),
        new("kind", "kubernetes/poddisruptionbudget.yaml", "kind: PodDisruptionBudget", "kind: PodDisruption", "no PodDisruption in policy/v1"),
        new("selector", "kubernetes/services.yaml", "  selector:\n    app.kubernetes.io/name: orleans-inference", "  selector:\n    app: orleans-inference", "the selector finds no pods"),
        new("probe", Deployment, "path: /healthz\n              port: front-door", "path: /healthz\n              port: front", "asks the port 'front'"),
        new("target-port", "kubernetes/services.yaml", "targetPort: gateway", "targetPort: gate", "no container has a port 'gate'"),
        new("config-map", Deployment, "name: orleans-inference-settings", "name: orleans-inference-setting", "no config map 'orleans-inference-setting'"),
        new("secret", Deployment, "name: orleans-inference-keys", "name: orleans-inference-key", "no secret 'orleans-inference-key'"),
        new("left-out", "kubernetes/kustomization.yaml", "  - networkpolicy.yaml\n", "", "leaves out"),
        new("compose-member", "compose.yaml", "read_only: true", "readonly: true", "must NOT have additional properties"),
        new("compose-dependency", "compose.yaml", "    local-aws:\n      condition", "    aws:\n      condition", "depends on 'aws'"),
        new("compose-health", "compose.yaml", "condition: service_started", "condition: service_healthy", "which has no healthcheck"),
        new("compose-volume", "compose.yaml", "silo-2:/data", "silo-4:/data", "the volume 'silo-4'"),
        new("instruction", "Dockerfile", "WORKDIR /app", "WORKDI /app", "WORKDI"),
        new("root", "Dockerfile", "USER $APP_UID", "USER root", "must not run as root"),
        new("stage", "Dockerfile", "--from=build /app", "--from=builds /app", "no stage 'builds'"),
        new("shell", "Dockerfile", "WORKDIR /app\n", "WORKDIR /app\nRUN ls\n", "no shell to RUN"),
    ];

    /// <summary>Copies a folder and makes the mistake in the copy.</summary>
    public void Apply(string folder, string copy)
    {
        foreach (var file in Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories))
        {
            var target = Path.Combine(copy, Path.GetRelativePath(folder, file));
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            System.IO.File.Copy(file, target);
        }

        var path = Path.Combine(copy, File);
        var text = System.IO.File.ReadAllText(path);
        Assert.True(text.Contains(Find, StringComparison.Ordinal), $"{Name}: {File} has no '{Find}' any more.");
        System.IO.File.WriteAllText(path, text.Replace(Find, Replacement, StringComparison.Ordinal));
    }
}
