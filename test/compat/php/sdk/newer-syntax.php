<?php

// Prints what PHP 7.4 would not understand in the given files, or in what follows -r, one a line.

const TOKENS = [
    T_MATCH => 'match',
    T_NULLSAFE_OBJECT_OPERATOR => 'nullsafe operator',
    T_ATTRIBUTE => 'attribute',
    T_ENUM => 'enum',
    T_READONLY => 'readonly',
];

const PATTERNS = [
    'union type' => '/[(,]\s*\??\w+\s*\|\s*\w+\s+(&|\.\.\.)?\$|\)\s*:\s*\??\w+\|\w+|(private|protected|public)\s+\w+\|\w+\s+\$/',
    'mixed, static, never or false as a type' => '/\)\s*:\s*(mixed|static|never|false)\b|[(,]\s*mixed\s+\$/',
    'promoted property' => '/function __construct\([^)]*\b(private|protected|public)\b/',
    'comma behind the last parameter' => '/\b(function|fn)\b[^({;]*\((?:[^()]|\([^()]*\))*,\s*\)\s*(:[^{;]*)?(\{|=>|;)/',
    'catch without variable' => '/catch\s*\(\s*[\w\\\\|\s]+\)/',
    'throw as an expression' => '/(\?\?|\?|=>|=|&&|\|\|)\s*throw\b/',
    'named argument' => '/[(,]\s*[a-z_]\w*:\s/i',
    'class of an object' => '/\$\w+::class/',
    'first-class callable' => '/\(\s*\.\.\.\s*\)/',
    'new in a default value' => '/[(,]\s*[\w\\\\?]+\s+\$\w+\s*=\s*new\b/',
    'function of PHP 8' => '/\b(str_contains|str_starts_with|str_ends_with|get_debug_type|array_is_list|fdiv|get_resource_id|fsync|fdatasync|array_find|json_validate|mb_str_pad)\s*\(/',
    'octal or final constant' => '/\b0o\d|\bfinal\s+(public\s+|private\s+|protected\s+)?const\b/',
];

function findings(string $code): iterable
{
    $text = '';
    foreach (token_get_all($code) as $token) {
        [$kind, $part] = is_array($token) ? $token : [0, $token];
        if (isset(TOKENS[$kind])) {
            yield TOKENS[$kind];
        }
        if (in_array($kind, [T_COMMENT, T_DOC_COMMENT], true)) {
            continue;
        }
        $isText = in_array($kind, [T_CONSTANT_ENCAPSED_STRING, T_ENCAPSED_AND_WHITESPACE], true);
        $text .= $isText ? "''" : $part;
    }
    foreach (PATTERNS as $what => $pattern) {
        if (preg_match($pattern, $text, $match) === 1) {
            yield "$what: " . trim(preg_replace('/\s+/', ' ', $match[0]));
        }
    }
}

$files = array_slice($argv, 1);
$codes = ($files[0] ?? '') === '-r'
    ? ['-r' => "<?php {$files[1]}"]
    : array_combine($files, array_map('file_get_contents', $files));
foreach ($codes as $name => $code) {
    foreach (findings($code) as $finding) {
        echo "$name: $finding\n";
    }
}
