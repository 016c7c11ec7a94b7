// One operation of the JavaScript SDK for SageMaker Runtime; prints what came of it as one line of JSON.
import {
  InvokeEndpointAsyncCommand,
  InvokeEndpointCommand,
  InvokeEndpointWithResponseStreamCommand,
  SageMakerRuntimeClient,
} from "@aws-sdk/client-sagemaker-runtime";

const [operation, endpoint, model, input, attributes] = process.argv.slice(2);
const client = new SageMakerRuntimeClient({ endpoint, region: "us-east-1", maxAttempts: 1 });
const decoder = new TextDecoder();
const common = { EndpointName: model, CustomAttributes: attributes || undefined };

async function run() {
  switch (operation) {
    case "invoke": {
      const answer = await client.send(new InvokeEndpointCommand({ ...common, ContentType: "application/json", Body: input }));
      return { body: decoder.decode(answer.Body), contentType: answer.ContentType, attributes: answer.CustomAttributes, variant: answer.InvokedProductionVariant };
    }
    case "stream": {
      const answer = await client.send(new InvokeEndpointWithResponseStreamCommand({ ...common, ContentType: "application/json", Body: input }));
      const parts = [];
      for await (const event of answer.Body) {
        parts.push(decoder.decode(event.PayloadPart.Bytes));
      }
      return { body: parts.join(""), parts: parts.length, contentType: answer.ContentType, attributes: answer.CustomAttributes };
    }
    case "async": {
      const answer = await client.send(new InvokeEndpointAsyncCommand({ ...common, ContentType: "application/json", InputLocation: input }));
      return { inferenceId: answer.InferenceId, outputLocation: answer.OutputLocation, failureLocation: answer.FailureLocation, status: answer.$metadata.httpStatusCode };
    }
    default:
      throw new Error(`Unknown operation '${operation}'.`);
  }
}

try {
  console.log(JSON.stringify(await run()));
} catch (error) {
  console.log(JSON.stringify({ error: error.name, message: error.message, status: error.$metadata?.httpStatusCode }));
}
