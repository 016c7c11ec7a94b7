// Checks manifests against the schemas of Kubernetes, and what they say of each other.
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

const schemas = join(dirname(createRequire(import.meta.url).resolve('kubernetes-models')), '_schemas');
const rooms = { 'v1': 'CoreV1', 'apps/v1': 'AppsV1', 'policy/v1': 'PolicyV1', 'networking.k8s.io/v1': 'NetworkingV1' };
const kustomization = ['apiVersion', 'kind', 'namespace', 'resources', 'configMapGenerator', 'images'];

// The schemas let unknown members pass, as the API server does that drops them. What they know they read: the rest is unknown.
function watched(value, path, watches) {
  if (value === null || typeof value !== 'object') return value;
  const read = new Set();
  const members = Array.isArray(value)
    ? value.map((item, i) => watched(item, `${path}[${i}]`, watches))
    : Object.fromEntries(Object.entries(value).map(([key, item]) => [key, watched(item, `${path}.${key}`, watches)]));
  watches.push({ path, value, read });
  return new Proxy(members, {
    get(target, key) {
      read.add(key);
      return target[key];
    },
  });
}

async function checkSchema(name, manifest, problem) {
  const room = rooms[manifest.apiVersion];
  let schema;
  try {
    schema = await import(pathToFileURL(join(schemas, `IoK8sApi${room}${manifest.kind}.mjs`)).href);
  } catch {
    problem(`there is no ${manifest.kind} in ${manifest.apiVersion}`);
    return;
  }

  const watches = [];
  if (!schema.validate(watched(manifest, '', watches))) {
    for (const error of schema.validate.errors) problem(`${error.instancePath.replaceAll('/', '.')} ${error.keyword === 'required' ? `needs ${error.params.missingProperty}` : error.message ?? `is wrong (${error.keyword}: ${JSON.stringify(error.params)})`}`);
    return;
  }

  for (const { path, value, read } of watches) {
    if (Array.isArray(value)) continue;
    for (const key of Object.keys(value).filter(key => !read.has(key))) problem(`${path} has no member ${key}`);
  }
}

const matches = (selector, labels) => Object.entries(selector ?? {}).every(([key, value]) => labels?.[key] === value);

/** Checks the manifests of a kustomization, given as files with their documents. */
export async function checkKubernetes(files, existing, problems) {
  const all = files.flatMap(({ name, documents }) => documents.map(manifest => ({ name, manifest })));
  const settings = all.find(({ manifest }) => manifest.kind === 'Kustomization');
  const manifests = all.filter(entry => entry !== settings);
  for (const { name, manifest } of manifests) await checkSchema(name, manifest, text => problems.push(`${name}: ${manifest.kind}: ${text}`));

  const say = (name, text) => problems.push(`${name}: ${text}`);
  const kustomized = settings.manifest;
  for (const key of Object.keys(kustomized).filter(key => !kustomization.includes(key))) say(settings.name, `there is no ${key}`);
  for (const file of [...kustomized.resources, ...(kustomized.configMapGenerator ?? []).flatMap(map => map.files)]) {
    if (!existing.includes(file)) say(settings.name, `there is no file '${file}'`);
  }

  for (const { name } of files.filter(file => file.name !== settings.name && !file.name.endsWith('.example.yaml') && !kustomized.resources.includes(file.name.split('/').pop()))) {
    say(settings.name, `it leaves out '${name}'`);
  }

  const named = kind => new Set([...manifests.filter(m => m.manifest.kind === kind).map(m => m.manifest.metadata.name), ...(kind === 'ConfigMap' ? (kustomized.configMapGenerator ?? []).map(map => map.name) : [])]);
  for (const { name, manifest } of manifests.filter(m => m.manifest.kind === 'Deployment')) {
    const { template, selector } = manifest.spec;
    const pod = template?.spec ?? {};
    const containers = pod.containers ?? [];
    const ports = containers.flatMap(container => container.ports ?? []).map(port => port.name);
    if (!matches(selector?.matchLabels, template?.metadata?.labels)) say(name, 'the selector does not find its own pods');
    if (pod.serviceAccountName && !named('ServiceAccount').has(pod.serviceAccountName)) say(name, `there is no service account '${pod.serviceAccountName}'`);
    for (const volume of pod.volumes ?? []) if (volume.configMap && !named('ConfigMap').has(volume.configMap.name)) say(name, `there is no config map '${volume.configMap.name}'`);
    for (const container of containers) {
      for (const source of container.envFrom ?? []) if (source.configMapRef && !named('ConfigMap').has(source.configMapRef.name)) say(name, `there is no config map '${source.configMapRef.name}'`);
      for (const { valueFrom } of container.env ?? []) if (valueFrom?.secretKeyRef && !named('Secret').has(valueFrom.secretKeyRef.name)) say(name, `there is no secret '${valueFrom.secretKeyRef.name}'`);
      for (const mount of container.volumeMounts ?? []) if (!(pod.volumes ?? []).some(volume => volume.name === mount.name)) say(name, `there is no volume '${mount.name}'`);
      for (const kind of ['startupProbe', 'livenessProbe', 'readinessProbe']) {
        const port = container[kind]?.httpGet?.port;
        if (typeof port === 'string' && !ports.includes(port)) say(name, `${kind} asks the port '${port}', which does not exist`);
      }
    }

    for (const service of manifests.filter(m => m.manifest.kind === 'Service')) {
      if (!matches(service.manifest.spec.selector, template?.metadata?.labels)) say(service.name, 'the selector finds no pods');
      for (const port of service.manifest.spec.ports) if (typeof port.targetPort === 'string' && !ports.includes(port.targetPort)) say(service.name, `no container has a port '${port.targetPort}'`);
    }

    for (const other of manifests.filter(m => ['PodDisruptionBudget', 'NetworkPolicy'].includes(m.manifest.kind))) {
      const labels = (other.manifest.spec.selector ?? other.manifest.spec.podSelector)?.matchLabels;
      if (!matches(labels, template?.metadata?.labels)) say(other.name, 'the selector finds no pods');
    }
  }
}
