// Verifies webhooks as their receivers do. Standard input is a list of {secret, raw, headers, body},
// body and a raw secret in base64; standard output says of each which library took it.
import { text } from 'node:stream/consumers';
import * as standard from 'standardwebhooks';
import * as svix from 'svix';

const libraries = { standardwebhooks: standard.Webhook, svix: svix.Webhook };

function verify(Webhook, { secret, raw, headers, body }) {
  const webhook = raw
    ? new Webhook(Buffer.from(secret, 'base64'), { format: 'raw' })
    : new Webhook(secret);
  try {
    webhook.verify(Buffer.from(body, 'base64'), headers);
    return true;
  } catch (error) {
    if (error.name === 'WebhookVerificationError') return false;
    throw error;
  }
}

const letters = JSON.parse(await text(process.stdin));
const verdicts = letters.map((letter) => Object.fromEntries(
  Object.entries(libraries).map(([name, Webhook]) => [name, verify(Webhook, letter)]),
));
process.stdout.write(JSON.stringify(verdicts));
