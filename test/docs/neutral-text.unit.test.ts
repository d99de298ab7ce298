/** The files speak of fleetgraph alone: not of the machine that they were written on, nor of what they were written with. */
import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { files, read } from './repository.js';

/** Fonts and pictures are not text, and the lock file has other people's words. */
const texts = files().filter((path) => !/\.(png|jpg|svg|ico|woff2?|ttf)$/.test(path) && path !== 'package-lock.json');

function linesWith(paths: readonly string[], pattern: RegExp): string[] {
  return paths.flatMap((path) =>
    read(path)
      .split('\n')
      .flatMap((line, index) => (pattern.test(line) ? [`${path}:${index + 1}: ${line.trim().slice(0, 120)}`] : [])),
  );
}

test('no file has an absolute path of somebody’s machine', () => {
  expect(linesWith(texts, /(?<![\w.~-])\/(?:home|root|Users|work|mnt)\/[\w.-]/)).toEqual([]);
  expect(linesWith(texts, /\b[A-Z]:\\\\?(?:Users|Windows)\b/)).toEqual([]);
});

test('no file, and not the lock file either, names the host of a package registry', () => {
  const hosts =
    /\b(?:registry\.(?:npmjs|yarnpkg|npmmirror)|npm\.pkg\.github|[\w-]+\.jfrog|[\w.-]*(?:artifactory|verdaccio|nexus)[\w-]*\.\w+\/)/i;
  expect(linesWith([...texts, 'package-lock.json'], hosts)).toEqual([]);
});

/** SHA-256 of words, so that this file has none of them itself. */
const unwanted = new Set([
  '053ea4804ef1bb33d4a3d6fb024a614b6d257cebc2bc7cd915da9c9522f37ffc',
  '3ea125d0bff386e6754b3782b300016fc79a9cf8f8669c0a5c3db64467ddb681',
  '487b91042c7cf27a19e23ea8699f5f354b1a0c3af9e418138dc6150d830f970d',
  '60965168ce762e949600281ba6d01fee136e5b6e8257b1f216f9025ed324474c',
  '7d3194f79e645c42e4396dda38be04766810ec6a00d00aced3ffc2a0a1f1a9ef',
  'c70eca6b0f88f44d81a41311647e50fda1ac454ec04ffd442b0eb4743a993131',
  'c857d09db23e6822e3600bc06ad8d58f92ed62bc8efd81c753f77048662cb97d',
  'de2187af3fb011708ca4ff6d21e4845236d6a6d25e7e90531b26a7923d16c73f',
]);

test('no file has a word that is not about fleetgraph', () => {
  const found = texts.flatMap((path) => {
    const words = new Set(
      read(path)
        .toLowerCase()
        .match(/[a-z]+/g) ?? [],
    );
    return [...words]
      .filter(
        (word) => word.length > 2 && word.length < 12 && unwanted.has(createHash('sha256').update(word).digest('hex')),
      )
      .map((word) => `${path}: ${word}`);
  });
  expect(found).toEqual([]);
});
