// Plays one scene: standard input is {scene, url, anonKey, token, given}; standard output is what
// the scene returns, with {error} where it threw.
import { text } from 'node:stream/consumers';
import { connect } from './lib/supabase.js';
import * as scenes from './scenes.js';

const { scene, given, ...login } = JSON.parse(await text(process.stdin));
const result = await scenes[scene]({ ...connect(login), given });
process.stdout.write(JSON.stringify(result));
