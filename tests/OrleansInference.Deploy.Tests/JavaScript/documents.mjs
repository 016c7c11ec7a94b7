// Reads YAML as CloudFormation does: short tags become the long functions; what it does not take is a problem.
import { readFileSync } from 'node:fs';
import { parseAllDocuments, isAlias, isMap, isScalar, isSeq, visit } from 'yaml';

const functions = ['And', 'Base64', 'Cidr', 'Equals', 'FindInMap', 'GetAtt', 'GetAZs', 'If', 'ImportValue', 'Join', 'Not', 'Or', 'Select', 'Split', 'Sub'];

const plain = node => node === null || node === undefined ? null : node.toJSON ? node.toJSON() : node;

const tag = (name, collection) => ({
  tag: `!${name}`,
  collection,
  resolve: value => value,
});

// A tag for each form that a function is written in: text, list or object.
const customTags = ['Ref', 'Condition', ...functions].flatMap(name => [tag(name), tag(name, 'seq'), tag(name, 'map')]);

const long = name => name === 'Ref' || name === 'Condition' ? name : `Fn::${name}`;

function toPlain(node) {
  if (node === null || node === undefined) return null;
  let value;
  if (isMap(node)) value = Object.fromEntries(node.items.map(pair => [String(pair.key?.value ?? pair.key), toPlain(pair.value)]));
  else if (isSeq(node)) value = node.items.map(toPlain);
  else if (isScalar(node)) value = node.value;
  else value = plain(node);
  const name = typeof node.tag === 'string' && node.tag.startsWith('!') && !node.tag.startsWith('!!') ? node.tag.slice(1) : null;
  if (!name) return value;
  if (name === 'GetAtt' && typeof value === 'string') {
    const dot = value.indexOf('.');
    value = [value.slice(0, dot), value.slice(dot + 1)];
  }
  return { [long(name)]: value };
}

/** The documents of a file; what keeps them from being read goes to problems. */
export function readYaml(path, name, problems, { cloudFormation = false } = {}) {
  const documents = parseAllDocuments(readFileSync(path, 'utf8'), { customTags: cloudFormation ? customTags : [], merge: !cloudFormation, uniqueKeys: true });
  const values = [];
  for (const document of documents) {
    for (const issue of [...document.errors, ...document.warnings]) problems.push(`${name}: ${issue.message.split('\n')[0]}`);
    if (cloudFormation) {
      visit(document, {
        Node(_, node) {
          if (isAlias(node) || node.anchor) problems.push(`${name}: CloudFormation knows no anchors and aliases`);
        },
      });
      values.push(toPlain(document.contents));
    } else {
      values.push(document.toJS());
    }
  }
  return values;
}
