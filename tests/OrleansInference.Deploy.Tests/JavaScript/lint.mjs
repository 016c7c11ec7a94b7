// lint.mjs FOLDER…: prints for each folder what is wrong with it, and what its files say, as JSON.
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { Template, exportsOf } from './cloudformation.mjs';
import { checkCompose, checkDockerfile } from './containers.mjs';
import { readYaml } from './documents.mjs';
import { checkCollector, collectorOf } from './collector.mjs';
import { checkKubernetes } from './kubernetes.mjs';

const filesBelow = folder => readdirSync(folder, { withFileTypes: true }).flatMap(entry => entry.isDirectory() ? filesBelow(join(folder, entry.name)) : [join(folder, entry.name)]);

async function lint(folder) {
  const problems = [];
  const files = {};
  const existing = filesBelow(folder).map(path => relative(folder, path));
  const read = (name, options) => files[name] = readYaml(join(folder, name), name, problems, options);

  const names = existing.filter(name => name.startsWith('cloudformation/') && name.endsWith('.yaml'));
  const contents = names.map(name => read(name, { cloudFormation: true })[0]);
  if (problems.length === 0) {
    const exported = exportsOf(contents);
    for (const [i, name] of names.entries()) await new Template(name, contents[i], statSync(join(folder, name)).size, exported, problems).check();
    files.collector = [collectorOf(contents, problems)];
    checkCollector(files.collector[0], problems);
  }

  const manifests = existing.filter(name => name.startsWith('kubernetes/') && name.endsWith('.yaml')).map(name => ({ name, documents: read(name) }));
  await checkKubernetes(manifests, existing.filter(name => name.startsWith('kubernetes/')).map(name => basename(name)), problems);

  const [compose] = read('compose.yaml');
  checkCompose('compose.yaml', compose, existing, problems);
  checkDockerfile('Dockerfile', readFileSync(join(folder, 'Dockerfile'), 'utf8'), problems);
  return { problems, files };
}

const folders = process.argv.slice(2);
const results = {};
for (const folder of folders) {
  if (!existsSync(folder)) throw new Error(`There is no folder '${folder}'.`);
  try {
    results[folder] = await lint(folder);
  } catch (exception) {
    // What is read is far from its form: that is a problem of the file.
    results[folder] = { problems: [`${folder}: ${exception.stack}`], files: {} };
  }
}

process.stdout.write(JSON.stringify(results));
