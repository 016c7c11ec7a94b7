// Prints what the JavaScript SDK sends and signs for every operation that the router's clients have, as JSON:
// the vectors of OrleansInference.Aws.Tests/Signing/sigv4-vectors.json. Nothing is sent. To capture them again:
//   npm ci && node sigv4-vectors.mjs > ../../OrleansInference.Aws.Tests/Signing/sigv4-vectors.json
import { createHash, createHmac } from "node:crypto";
import {
  CreateTransformJobCommand,
  DescribeEndpointCommand,
  DescribeTransformJobCommand,
  SageMakerClient,
  StopTransformJobCommand,
  UpdateEndpointWeightsAndCapacitiesCommand,
} from "@aws-sdk/client-sagemaker";
import {
  InvokeEndpointAsyncCommand,
  InvokeEndpointCommand,
  InvokeEndpointWithResponseStreamCommand,
  SageMakerRuntimeClient,
} from "@aws-sdk/client-sagemaker-runtime";
import { SignatureV4 } from "@smithy/signature-v4";

const fixed = Date.parse("2026-02-03T04:05:06Z");
const RealDate = Date;
globalThis.Date = class extends RealDate {
  constructor(...parts) {
    super(...(parts.length ? parts : [fixed]));
  }
  static now() {
    return fixed;
  }
};

const credentials = { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY" };
const sessionToken = "a session/token+with==";

// The signer hands its canonical request to one method, which this keeps.
let canonical;
const create = SignatureV4.prototype.createCanonicalRequest;
SignatureV4.prototype.createCanonicalRequest = function (...parts) {
  return (canonical = create.apply(this, parts));
};

class Sha256 {
  constructor(secret) {
    this.hash = secret ? createHmac("sha256", secret) : createHash("sha256");
  }
  update(data) {
    this.hash.update(data);
  }
  async digest() {
    return new Uint8Array(this.hash.digest());
  }
}

// What the SDK says of itself and of the connection: other clients say it otherwise, or do not sign it.
const ofTheSdk = ["amz-sdk-invocation-id", "amz-sdk-request", "user-agent", "x-amz-user-agent", "content-length"];
const ofTheSigner = ["authorization", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token"];

// Where the caller names no type of the body, the SDK says application/octet-stream; others say nothing.
const ownType = ({ operation, input }) => (operation.startsWith("Invoke") && (operation === "InvokeEndpointAsync" || !input.ContentType) ? ["content-type"] : []);

const text = (value) => Buffer.from(value, "utf8").toString("base64");
const binary = Buffer.from(Array.from({ length: 256 }, (_, i) => i)).toString("base64");
const invoke = (name, input, rest) => ({ name, operation: "InvokeEndpoint", input: { EndpointName: "llm-7b-rt", Body: text('{"inputs":"h\u00e9"}'), ContentType: "application/json", ...input }, ...rest });
const stream = (name, input, rest) => ({ ...invoke(name, input, rest), operation: "InvokeEndpointWithResponseStream" });
const later = (name, input, rest) => ({ name, operation: "InvokeEndpointAsync", input: { EndpointName: "llm-7b-async", InputLocation: "s3://in/tenants/acme/a b+c%20\u0026d.json", ContentType: "application/json", ...input }, ...rest });
const control = (name, operation, input, rest) => ({ name, operation, input, ...rest });

const cases = [
  invoke("invoke"),
  invoke("invoke, everything the router sends", { ContentType: "application/json; charset=utf-8", Accept: "application/json, text/plain;q=0.5", CustomAttributes: "class=High;  trace=1", InferenceId: "id-1", TargetModel: "m/1.tar.gz", SessionId: "NEW_SESSION" }),
  invoke("invoke, everything the service takes", { Accept: "*/*", CustomAttributes: "a=b", TargetModel: "m.tar.gz", TargetVariant: "AllTraffic", TargetContainerHostname: "container-1", InferenceId: "id", EnableExplanations: "`true`", InferenceComponentName: "component-1", SessionId: "s 1" }, { signerOnly: "the router has no variant, component, container or explanations to name" }),
  invoke("invoke, empty body", { Body: "" }),
  invoke("invoke, binary body", { Body: binary, ContentType: "application/octet-stream" }),
  invoke("invoke, no content type", { ContentType: undefined }),
  invoke("invoke, session token", {}, { session: true }),
  invoke("invoke, attributes with runs of spaces and tabs", { CustomAttributes: "  a=1;   b=\"x   y\";\tc=2  " }, { signerOnly: "the router refuses tabs and Node trims" }),
  invoke("invoke, attributes with runs of spaces", { CustomAttributes: "a=1;   b=\"x   y\"  ; c=2" }),
  invoke("invoke, attributes beyond ASCII", { CustomAttributes: "name=Z\u00fcrich;\u00a0x=1; city=\u6771\u4eac" }, { signerOnly: "the router refuses what is not printable ASCII" }),
  invoke("invoke, attributes with every printable character", { CustomAttributes: Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)).join("").trim() }),
  invoke("invoke, dots in the name", { EndpointName: "a..b.c" }),
  invoke("invoke, percent, spaces and slashes in the name", { EndpointName: "a%20b c/../d?e#f&g=h+i:@" }),
  invoke("invoke, letters beyond ASCII in the name", { EndpointName: "mod\u00e8le-\u6771\u4eac-\ud83d\ude00" }),
  invoke("invoke, characters that some encoders leave", { EndpointName: "a!b'c(d)e*f~g-h_i" }),
  invoke("invoke, a name of two dots", { EndpointName: ".." }, { signerOnly: "the router takes no such name: its address would lose the dots" }),
  invoke("invoke, FIPS", {}, { region: "us-west-2", fips: true }),
  invoke("invoke, China", {}, { region: "cn-north-1" }),
  invoke("invoke, China, FIPS", {}, { region: "cn-northwest-1", fips: true }),
  invoke("invoke, government", {}, { region: "us-gov-west-1" }),
  invoke("invoke, government, FIPS", {}, { region: "us-gov-west-1", fips: true }),
  invoke("invoke, isolated", {}, { region: "us-iso-east-1" }),
  invoke("invoke, isolated, FIPS", {}, { region: "us-iso-east-1", fips: true }),
  invoke("invoke, isolated B", {}, { region: "us-isob-east-1" }),
  invoke("invoke, European sovereign", {}, { region: "eusc-de-east-1" }),
  invoke("invoke, an address with a port", {}, { endpoint: "http://127.0.0.1:4566" }),
  invoke("invoke, an address with its usual port", {}, { endpoint: "https://vpce-1.runtime.example.com:443" }),
  invoke("invoke, an address with a path", { CustomAttributes: "a=b" }, { endpoint: "https://gateway.example.com:8443/aws/sagemaker", session: true }),
  stream("stream"),
  stream("stream, everything the router sends", { Accept: "application/jsonlines", CustomAttributes: "class=High;  trace=1", InferenceId: "id-1", SessionId: "s 1" }, { session: true }),
  stream("stream, everything the service takes", { Accept: "text/event-stream", CustomAttributes: "a", TargetVariant: "v", TargetContainerHostname: "c", InferenceId: "id", InferenceComponentName: "i", SessionId: "s" }, { signerOnly: "the router has no variant, component or container to name" }),
  stream("stream, empty body", { Body: "" }),
  stream("stream, China", { EndpointName: "a.b%c" }, { region: "cn-northwest-1" }),
  later("async"),
  later("async, everything the router sends", { Accept: "application/json", CustomAttributes: "job=1;  x", InferenceId: "00000000-0000-0000-0000-000000000001", RequestTTLSeconds: 21600, InvocationTimeoutSeconds: 3600, S3OutputPathExtension: "x/y z", Filename: "f 1.out" }, { session: true }),
  later("async, no content type", { ContentType: undefined }),
  later("async, FIPS", {}, { region: "us-east-2", fips: true }),
  later("async, an address with a port", {}, { endpoint: "http://localhost:5001/" }),
  control("describe endpoint", "DescribeEndpoint", { EndpointName: "llm-7b-rt" }),
  control("describe endpoint, session token", "DescribeEndpoint", { EndpointName: "llm-7b-rt" }, { session: true }),
  control("describe endpoint, FIPS", "DescribeEndpoint", { EndpointName: "llm-7b-rt" }, { region: "us-east-1", fips: true }),
  control("describe endpoint, government, FIPS", "DescribeEndpoint", { EndpointName: "llm-7b-rt" }, { region: "us-gov-west-1", fips: true }),
  control("describe endpoint, isolated", "DescribeEndpoint", { EndpointName: "llm-7b-rt" }, { region: "us-iso-east-1" }),
  control("describe endpoint, China", "DescribeEndpoint", { EndpointName: "llm-7b-rt" }, { region: "cn-north-1" }),
  control("describe endpoint, China, FIPS", "DescribeEndpoint", { EndpointName: "llm-7b-rt" }, { region: "cn-northwest-1", fips: true }),
  control("describe endpoint, isolated, FIPS", "DescribeEndpoint", { EndpointName: "llm-7b-rt" }, { region: "us-iso-east-1", fips: true }),
  control("describe endpoint, European sovereign", "DescribeEndpoint", { EndpointName: "llm-7b-rt" }, { region: "eusc-de-east-1" }),
  control("describe endpoint, an address with a port and a path", "DescribeEndpoint", { EndpointName: "llm-7b-rt" }, { endpoint: "https://gateway.example.com:8443/aws" }),
  control("set instances", "UpdateEndpointWeightsAndCapacities", { EndpointName: "llm-7b-rt", DesiredWeightsAndCapacities: [{ VariantName: "AllTraffic", DesiredInstanceCount: 3 }] }),
  control("set provisioned concurrency", "UpdateEndpointWeightsAndCapacities", { EndpointName: "llm-7b-sl", DesiredWeightsAndCapacities: [{ VariantName: "AllTraffic", ServerlessUpdateConfig: { ProvisionedConcurrency: 5 } }] }),
  control("create transform job", "CreateTransformJob", {
    TransformJobName: "w-2026-1",
    ModelName: "llm-7b",
    BatchStrategy: "SingleRecord",
    MaxConcurrentTransforms: 4,
    MaxPayloadInMB: 6,
    ModelClientConfig: { InvocationsTimeoutInSeconds: 600, InvocationsMaxRetries: 3 },
    TransformInput: { DataSource: { S3DataSource: { S3DataType: "S3Prefix", S3Uri: "s3://in/w/1/" } }, ContentType: "application/json", SplitType: "Line", CompressionType: "None" },
    TransformOutput: { S3OutputPath: "s3://out/w/1/", Accept: "application/json", AssembleWith: "Line" },
    TransformResources: { InstanceType: "ml.g5.xlarge", InstanceCount: 2 },
    Tags: [{ Key: "CostCenter", Value: "R&D + Z\u00fcrich" }, { Key: "InferenceType", Value: "Batch" }],
  }),
  control("describe transform job", "DescribeTransformJob", { TransformJobName: "w-2026-1" }),
  control("stop transform job", "StopTransformJob", { TransformJobName: "w-2026-1" }, { session: true }),
];

const commands = {
  InvokeEndpoint: [SageMakerRuntimeClient, InvokeEndpointCommand],
  InvokeEndpointAsync: [SageMakerRuntimeClient, InvokeEndpointAsyncCommand],
  InvokeEndpointWithResponseStream: [SageMakerRuntimeClient, InvokeEndpointWithResponseStreamCommand],
  DescribeEndpoint: [SageMakerClient, DescribeEndpointCommand],
  UpdateEndpointWeightsAndCapacities: [SageMakerClient, UpdateEndpointWeightsAndCapacitiesCommand],
  CreateTransformJob: [SageMakerClient, CreateTransformJobCommand],
  DescribeTransformJob: [SageMakerClient, DescribeTransformJobCommand],
  StopTransformJob: [SageMakerClient, StopTransformJobCommand],
};

const sorted = (headers, without = []) =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !without.includes(name)).sort(([a], [b]) => (a < b ? -1 : 1)));

async function capture({ name, operation, input, region = "eu-central-1", fips = false, endpoint, session = false, signerOnly }) {
  const identity = session ? { ...credentials, sessionToken } : credentials;
  let sent;
  const [Client, Command] = commands[operation];
  const client = new Client({
    region,
    endpoint,
    useFipsEndpoint: fips,
    credentials: identity,
    maxAttempts: 1,
    requestHandler: {
      async handle(request) {
        sent = request;
        throw Object.assign(new Error("captured"), { name: "Captured" });
      },
    },
  });
  client.middlewareStack.addRelativeTo(
    (next) => (args) => {
      Object.assign(args.request.headers, { "amz-sdk-invocation-id": "00000000-0000-4000-8000-000000000000", "user-agent": "aws-sdk-js", "x-amz-user-agent": "aws-sdk-js" });
      return next(args);
    },
    { relation: "before", toMiddleware: "httpSigningMiddleware", name: "fixedNames", override: true },
  );
  const given = input.Body === undefined ? input : { ...input, Body: Buffer.from(input.Body, "base64") };
  try {
    await client.send(new Command(given));
  } catch (error) {
    if (error.message !== "captured") {
      throw error;
    }
  }

  const asSent = { headers: sorted(sent.headers, ["authorization"]), canonicalRequest: canonical, authorization: sent.headers.authorization };

  // The same request with nothing that only this SDK adds, signed once more by the SDK's signer.
  const signer = new SignatureV4({ credentials: identity, region, service: "sagemaker", sha256: Sha256 });
  const bare = await signer.sign({ ...sent, headers: sorted(sent.headers, [...ofTheSdk, ...ofTheSigner, ...ownType({ operation, input })]) });
  return {
    name,
    operation,
    region,
    fips,
    endpoint: endpoint ?? null,
    sessionToken: session ? sessionToken : null,
    signerOnly: signerOnly ?? null,
    input,
    method: sent.method,
    address: `${sent.protocol}//${sent.hostname}${sent.port ? `:${sent.port}` : ""}`,
    path: sent.path,
    body: Buffer.from(sent.body ?? "").toString("base64"),
    sdk: asSent,
    bare: { headers: sorted(bare.headers, ["authorization"]), canonicalRequest: canonical, authorization: bare.headers.authorization },
  };
}

const vectors = [];
for (const one of cases) {
  vectors.push(await capture(one));
}

console.log(JSON.stringify({ time: new Date().toISOString(), ...credentials, vectors }, null, 1));
