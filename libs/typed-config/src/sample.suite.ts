/** An ini file as gokeeper's users have them. */
export interface SampleFile {
  path: string;
  text: string;
}

/** Every type once, the values of the reference. */
const TYPES = `
# what every node of the product needs
timeout = 10
front_listen string = :8088
debug bool = t
workers int = +16
user_id int64 = 9223372036854775807
ratio float64 = 1e3
city_list []string = jinan,sydney
ids []int = 1,2,3
big_ids []int64 = -9223372036854775808,0
weights []float64 = 0.5,1.
flags []bool = true,f,1
city map[string]string = jinan:sd,sy:ln
ports map[string]int = http:80,https:443
feat map[string]bool = a,b:false
masters map[string][]string = 0:h1:1527:pw;1:h2:1528,h3:1529
code_names map[int]string = 1:one,2:t:w:o
code_levels map[int]int = 1:10,-2:20
code_on map[int]bool = 1,2:false
blocked map[string]struct{} = 10.0.0.1,10.0.0.2
blocked_ids map[int]struct{} = 7,007,8
sleep time.Duration= 1h30m
addr json = {"http":"127.0.0.1:8000","tries":3}
password secret = s3cr3t;#"x

[127.0.0.1:80]
timeout = 20
workers int = 1

[empty]
`;

/** Empty values, where a type has one. */
const EMPTY = `
text string =
strings []string =
ints []int =
ints64 []int64 =
floats []float64 =
bools []bool =
ss map[string]string =
si map[string]int =
sb map[string]bool =
sl map[string][]string =
is map[int]string =
ii map[int]int =
ib map[int]bool =
set map[string]struct{} =
iset map[int]struct{} =
doc json =
`;

/** The base of a folder's file, and the file over it. */
const GLOBAL = 'a = 1\nb = 1\nc = 1\n[SEC]\nd = root\n';
const ZY_GLOBAL = 'b = 2\n[SEC]\nc = 3\nd = 3\n[10.0.0.1:80]\nc = 4\n';

/** Files that gokeeper and we read alike. */
export const sampleFiles: readonly SampleFile[] = [
  { path: '/types.conf', text: TYPES },
  { path: '/empty.conf', text: EMPTY },
  { path: '/global.conf', text: GLOBAL },
  { path: '/zy/global.conf', text: ZY_GLOBAL },
];

/** A line or a few, and what they are read as. */
export interface OddCase {
  name: string;
  text: string;
  key: string;
  raw: string;
  json?: string;
  /** What gokeeper's own parser makes of it, where that is something else. */
  gokeeper?: string;
  /** Another warning, in part. */
  warning?: string;
}

/** Every odd case of the format that has a meaning. */
export const oddCases: readonly OddCase[] = [
  {
    name: 'a # inside a URL is part of it',
    text: 'u = http://x/#frag',
    key: 'u',
    raw: 'http://x/#frag',
    gokeeper: 'http://x/',
  },
  { name: 'a # in backticks', text: 'u = `http://x/#frag`', key: 'u', raw: 'http://x/#frag' },
  {
    name: 'a # behind a space is a comment',
    text: 'u = http://x/ #frag',
    key: 'u',
    raw: 'http://x/',
  },
  { name: 'a ; in quotes', text: 'n = "a;b"', key: 'n', raw: 'a;b', gokeeper: '"a' },
  {
    name: 'a comment behind quotes',
    text: `n = 'a # b' ; c`,
    key: 'n',
    raw: 'a # b',
    gokeeper: "'a",
  },
  { name: 'a pair of quotes is an empty text', text: 'e = ""', key: 'e', raw: '', gokeeper: '""' },
  { name: 'quotes inside quotes stay', text: `q = "a"b"`, key: 'q', raw: '"a"b"' },
  { name: 'other quotes inside quotes', text: `q = "it's"`, key: 'q', raw: "it's" },
  { name: 'a comment behind a number', text: 'n int = 5;five', key: 'n', raw: '5' },
  {
    name: 'a value that begins with #',
    text: 'color = #fff',
    key: 'color',
    raw: '',
    warning: 'what follows is a comment',
  },
  {
    name: 'a # inside JSON',
    text: 'j json = {"u":"h/#x"} # page',
    key: 'j',
    raw: '{"u":"h/#x"}',
    gokeeper: '{"u":"h/',
  },
  {
    name: 'a JSON string keeps its quotes',
    text: 'j json = "abc"',
    key: 'j',
    raw: '"abc"',
    gokeeper: 'abc',
  },
  { name: 'JSON in single quotes', text: `j json = '{"a":1}'`, key: 'j', raw: '{"a":1}' },
  { name: 'an empty JSON is null', text: 'j json =', key: 'j', raw: '', json: 'null' },
  {
    name: 'aligned columns before a map of lists',
    text: 'm   map[string][]string   = a:1;b:2,3',
    key: 'm',
    raw: 'a:1;b:2,3',
    json: '{"a":["1"],"b":["2","3"]}',
    gokeeper: 'a:1',
  },
  {
    name: 'a comment above a map of lists',
    text: '# hosts\nm map[string][]string = a:1',
    key: 'm',
    raw: 'a:1',
    gokeeper: 'a:1# hosts',
  },
  {
    name: 'a comment behind a map of lists',
    text: 'm map[string][]string = a:1; b:2 # two',
    key: 'm',
    raw: 'a:1; b:2',
    gokeeper: 'a:1; b:2 # two',
  },
  { name: 'a colon as the delimiter', text: 'a:b', key: 'a', raw: 'b' },
  {
    name: 'a colon before the equals sign',
    text: 'a:b = c',
    key: 'a',
    raw: 'b = c',
    warning: "the key ends at its first ':'",
  },
  { name: 'a quoted key with its type', text: '`a:b int` = 1', key: 'a:b', raw: '1' },
  {
    name: 'a quoted key before its type',
    text: '"a:b" int = 1',
    key: 'a:b',
    raw: '1',
    warning: 'would not see the type',
  },
  {
    name: 'a raw value of many lines',
    text: 's = """a\n# b\n"c" """ # end',
    key: 's',
    raw: 'a\n# b\n"c" ',
  },
  { name: 'backticks end at the last of the line', text: 's = `a`b`', key: 's', raw: 'a`b' },
  {
    name: 'a backtick in a comment',
    text: 's = `a` # use `b`',
    key: 's',
    raw: 'a` # use `b',
    warning: 'looks like a comment',
  },
  { name: 'a continued line', text: 's = a \\\n   b # c\\\n  d\nt = 1', key: 's', raw: 'a b # cd' },
  { name: 'a continuation that a blank line ends', text: 's = a\\\n\nt = 1', key: 's', raw: 'a' },
  { name: 'a continuation that the text ends', text: 's = a\\', key: 's', raw: 'a' },
  {
    name: 'space inside a list stays',
    text: 'l []string = a, b',
    key: 'l',
    raw: 'a, b',
    json: '["a"," b"]',
  },
  {
    name: 'an empty list of strings has one',
    text: 'l []string =',
    key: 'l',
    raw: '',
    json: '[""]',
  },
  {
    name: 'a word that is no bool is a key',
    text: 'f map[string]bool = a,b:false,c:maybe,d:1:true',
    key: 'f',
    raw: 'a,b:false,c:maybe,d:1:true',
    json: '{"a":true,"b":false,"c:maybe":true,"d:1:true":true}',
    warning: '"c:maybe" is not key:bool',
  },
  {
    name: 'what is no int is left out',
    text: 'f map[int]bool = 1,x,2:maybe,3:f',
    key: 'f',
    raw: '1,x,2:maybe,3:f',
    json: '{"1":true,"3":false}',
    warning: '"x" is not int or int:bool',
  },
  { name: 'a % is a %', text: 'p = %(home)s/x', key: 'p', raw: '%(home)s/x' },
  {
    name: 'the last of two equal keys',
    text: 'k = 1\nk = 2',
    key: 'k',
    raw: '2',
    warning: 'also in line 1',
  },
  { name: 'a section that comes twice', text: 'k = 1\n[DEFAULT]\nl = 2', key: 'l', raw: '2' },
  { name: 'line ends of Windows', text: 'a = 1\r\nk = 2 ; two\r\n', key: 'k', raw: '2' },
  { name: 'a byte order mark', text: '\uFEFFk = 1', key: 'k', raw: '1' },
];

/** A text that is refused, and why. */
export interface FaultyCase {
  name: string;
  text: string;
  line: number;
  message: string | RegExp;
}

/** Everything that gokeeper refuses, and what it leaves to chance. */
export const faultyCases: readonly FaultyCase[] = [
  {
    name: 'an unknown type',
    text: 'a = 1\nb integer = 2',
    line: 2,
    message: "'integer' is not a type",
  },
  { name: 'three words', text: 'name my json = {}', line: 1, message: "2 words behind key 'name'" },
  {
    name: 'two types of one key',
    text: 'k = 1\n\nk int = 2',
    line: 3,
    message: 'string in line 1 and int here',
  },
  {
    name: 'an open raw value',
    text: 'k = 1\ns = """a\nb',
    line: 2,
    message: '""" of line 2 is not closed',
  },
  { name: 'an open backtick', text: 's = `a\nb', line: 1, message: '` of line 1 is not closed' },
  {
    name: 'text behind a raw value',
    text: 's = `a` b',
    line: 1,
    message: 'text behind the closing `',
  },
  { name: 'an open header', text: '[sec\nk = 1', line: 1, message: "without ']'" },
  { name: 'text behind a header', text: '[sec] k = 1', line: 1, message: "behind the ']'" },
  {
    name: 'a space in a section',
    text: '[my sec]\nk = 1',
    line: 1,
    message: 'section name "my sec"',
  },
  { name: 'a slash in a section', text: '[a/b]\nk = 1', line: 1, message: 'section name "a/b"' },
  { name: 'an empty section', text: '[]\nk = 1', line: 1, message: 'a section has a name' },
  { name: 'a slash in a key', text: 'a/b = 1', line: 1, message: 'key name "a/b"' },
  { name: 'dots as a key', text: '.. = 1', line: 1, message: 'is a path' },
  { name: 'no key', text: ' = 1', line: 1, message: 'a key has a name' },
  {
    name: 'no delimiter',
    text: 'a = 1\npassword secret hunter2',
    line: 2,
    message: /^no '='[^h]*$/,
  },
  { name: 'a numbered key', text: '- = 1', line: 1, message: "'-' is no key" },
  { name: 'a bool that is none', text: 'b bool = yes', line: 1, message: '"yes" is not a bool' },
  { name: 'an empty int', text: 'n int =', line: 1, message: '"" is not an int' },
  { name: 'a list with spaces', text: 'l []int = 1, 2', line: 1, message: '" 2" is not an int' },
  {
    name: 'a map without a colon',
    text: 'm map[string]string = a',
    line: 1,
    message: `"a" has no ':'`,
  },
  {
    name: 'a trailing semicolon',
    text: 'm map[string][]string = a:1;',
    line: 1,
    message: `"" has no ':'`,
  },
  { name: 'a duration without unit', text: 'd time.Duration = 30', line: 1, message: 'no unit' },
  { name: 'not a number', text: 'f float64 = NaN', line: 1, message: 'cannot be written as JSON' },
  {
    name: 'broken JSON',
    text: 'j json = `{\n "a": 1,\n}`',
    line: 1,
    message: 'not JSON: line 3, column 1',
  },
  { name: 'a NUL', text: 'a = 1\nb = \0', line: 2, message: 'NUL' },
];
