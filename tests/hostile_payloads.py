# ruff: noqa: E501, UP031  (a payload reads best on one line; its own % signs are doubled)
"""Templates that mean harm, and a runner that renders them one by one under limits of memory and time.

Run as a program it takes a path (reference or compiled), a dialect, and a place to put the payload (body or
choices), prints one JSON line before and after each payload, and is killed by the system when a payload
takes more than SECONDS of processor time.
"""

import json
import resource
import signal
import sys

SECONDS = 2.0
MEMORY = 1 << 30

ROW = {
    "text": "bad cat sat on the mat " * 20,
    "label": 0,
    "items": ["a", "b"],
    "blob": b"\x00%1000000000d",
    "word": "가나다",
}

_DOUBLED = (
    "{% set ns = namespace(x=[1]) %}"
    "{% for i in range(64) %}{% set ns.x = zip(ns.x, ns.x) | list %}{% endfor %}"
)
_FOREVER = "{% for a in range(99999) %}"

PAYLOADS = {
    "power": "{{ 7 ** 9999999 }}",
    "power_tower": "{{ 9 ** 9 ** 9 ** 9 }}",
    "power_float": "{{ 2.0 ** 99999 }}",
    "product_of_powers": "{% set ns = namespace(x=3) %}{% for i in range(60) %}{% set ns.x = ns.x * ns.x %}{% endfor %}{{ ns.x }}",
    "nested_range": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "nested_range_text": "{% for a in range(99999) %}{% for b in range(99999) %}xxxxxxxxxxxxxxxx{% endfor %}{% endfor %}",
    "filtered_range": "{% for a in range(99999) %}{% for b in range(99999) if false %}{% endfor %}{% endfor %}",
    "wide_body": "{% for a in range(99999) %}" + "{{ a + 1 }}" * 2000 + "{% endfor %}",
    "huge_range": "{{ range(10 ** 12) | list | length }}",
    "range_sum": "{% for a in range(99999) %}{{ range(99999) | sum }}{% endfor %}",
    "range_list": "{% for a in range(99999) %}{% set x = range(99999) | list %}{% endfor %}",
    "range_in": "{% for a in range(99999) %}{% if 'q' in (text * 1000) %}{% endif %}{% endfor %}",
    "text_product": "{{ 'a' * 10 ** 10 }}",
    "folded_product": "{{ 'a' * 100000000 }}",
    "list_product": "{{ ([0] * 10 ** 9) | length }}",
    "center": "{{ 'a' | center(10 ** 9) }}",
    "center_constant": "{{ 'a' | center(1000000000) }}",
    "center_method": "{{ 'a'.center(10 ** 10) }}",
    "ljust": "{{ 'a'.ljust(10 ** 10) }}",
    "zfill": "{{ 'a'.zfill(10 ** 10) }}",
    "expandtabs": "{{ ('\t' * 1000).expandtabs(10 ** 7) }}",
    "indent": "{{ ('a\n' * 10000) | indent(10 ** 6) }}",
    "indent_constant": "{{ 'a' | indent(1000000000, true) }}",
    "format_width": "{{ '{:>1000000000}'.format('a') }}",
    "format_nested_width": "{{ '{:>{w}}'.format('a', w=10 ** 10) }}",
    "format_precision": "{{ '{:.1000000000f}'.format(1.5) }}",
    "format_map": "{{ '{a}'.format_map({'a': 1}) }}",
    "percent_width": "{{ '%1000000000d' % 1 }}",
    "percent_star": "{{ '%*d' % (10 ** 9, 1) }}",
    "percent_filter": "{{ '%1000000000s' | format('a') }}",
    "join_product": "{{ range(99999) | join('x' * 100000) }}",
    "join_method": "{{ ('x' * 100000).join(['a'] * 99999) }}",
    "join_generator": "{{ ('x' * 100000).join(range(99999) | map('string')) }}",
    "join_filter_generator": "{{ range(99999) | map('string') | join('x' * 100000) }}",
    "list_of_zip": "{% for a in range(99999) %}{% set x = zip(range(99999), range(99999)) | list %}{% endfor %}",
    "dict_of_zip": "{% for a in range(99999) %}{% set x = dict(zip(range(99999), range(99999))) %}{% endfor %}",
    "tuple_key": "{% set ns = namespace(x=(1,)) %}{% for i in range(64) %}{% set ns.x = (ns.x, ns.x) %}{% endfor %}{{ {ns.x: 1} }}",
    "negative_power": "{{ 10 ** -99999999 }}",
    "complex": "{{ (-1) ** 0.5 }}",
    "replace": "{{ ('a' * 100000) | replace('a', 'b' * 100000) }}",
    "replace_method": "{{ ('a' * 100000).replace('a', 'b' * 100000) }}",
    "replace_empty": "{{ ('a' * 100000).replace('', 'b' * 100000) }}",
    "batch": "{{ [1] | batch(10 ** 9, 0) | list }}",
    "slice": "{{ range(10) | slice(10 ** 8) | list }}",
    "lipsum": "{{ lipsum(n=10 ** 7) }}",
    "cycler": "{% set c = cycler(1, 2) %}{% for a in range(99999) %}{% for b in range(99999) %}{{ c.next() }}{% endfor %}{% endfor %}",
    "doubling_text": "{% set ns = namespace(x='ab') %}{% for i in range(64) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}",
    "doubling_plus": "{% set ns = namespace(x='ab') %}{% for i in range(64) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x }}",
    "doubling_list": "{% set ns = namespace(x=[1]) %}{% for i in range(64) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
    "doubling_zip": "{% set ns = namespace(x=[1]) %}{% for i in range(64) %}{% set ns.x = zip(ns.x, ns.x) | list %}{% endfor %}{{ ns.x }}",
    "doubling_compare": "{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(40) %}{% set ns.x = zip(ns.x, ns.x) | list %}{% set ns.y = zip(ns.y, ns.y) | list %}{% endfor %}{{ ns.x == ns.y }}",
    "doubling_tojson": "{% set ns = namespace(x=[1]) %}{% for i in range(64) %}{% set ns.x = zip(ns.x, ns.x) | list %}{% endfor %}{{ ns.x | tojson }}",
    "extend_itself": "{% set x = [1] %}{% for i in range(64) %}{% set _ = x.extend(x) %}{% endfor %}{{ x | length }}",
    "append_itself": "{% set x = [] %}{% set _ = x.append(x) %}{{ x }}",
    "dict_itself": "{% set d = {} %}{% set _ = d.update({'a': d}) %}{{ d | tojson }}",
    "macro_recursion": "{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}",
    "macro_exponential": "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    "recursive_loop": "{% for x in [[[]]] recursive %}{{ loop([[1], [2], [3]]) }}{% endfor %}",
    "set_block": "{% for a in range(99999) %}{% set x %}{% for b in range(99999) %}yyyyyyyyyyyyyyyyyyyy{% endfor %}{% endset %}{% endfor %}",
    "map_range": "{{ range(99999) | map('string') | map('upper') | join | length }}{% for a in range(99999) %}{{ range(99999) | map('string') | join | length }}{% endfor %}",
    "sort": "{% for a in range(99999) %}{% set x = range(99999) | sort(reverse=true) %}{% endfor %}",
    "unique": "{% for a in range(99999) %}{% set x = range(99999) | unique | list %}{% endfor %}",
    "sum_lists": "{{ range(99999) | map('list') | sum(start=[]) }}",
    "round_digits": "{{ 5 | round(-1000000000) }}",
    "round_power": "{{ 5 | round(1000000000, 'ceil') }}",
    "int_digits": "{{ ('9' * 4000000) | int }}",
    "wordcount": "{% for a in range(99999) %}{{ (text * 10000) | wordcount }}{% endfor %}",
    "title": "{% for a in range(99999) %}{% set x = (text * 10000) | title %}{% endfor %}",
    "truncate": "{% for a in range(99999) %}{% set x = (text * 10000) | truncate(1000000) %}{% endfor %}",
    "split": "{% for a in range(99999) %}{% set x = (text * 10000).split() %}{% endfor %}",
    "count": "{% for a in range(99999) %}{% set x = (text * 10000).count('b') %}{% endfor %}",
    "slices": "{% set x = text * 10000 %}{% for a in range(99999) %}{% set y = x[1:] %}{% endfor %}",
    "deep_parentheses": "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
    "deep_not": "{{ " + "not " * 5000 + "1 }}",
    "deep_attributes": "{{ text" + ".a" * 10000 + " }}",
    "deep_if": "{% if text %}" * 2000 + "x" + "{% endif %}" * 2000,
    "deep_plus": "{{ 1" + " + 1" * 10000 + " }}",
    "long_source": "a" * 200_000,
    "many_filters": "{{ text" + " | upper" * 5000 + " }}",
    "to_bytes": "{{ (5).to_bytes(10 ** 10, 'big') }}",
    "translate": "{{ 'a'.translate({97: 'b' * 1000}) }}",
    "encode": "{{ text.encode('utf-8') }}",
    "class": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "format_class": "{{ '{0.__class__.__mro__}'.format('') }}",
    "attr": "{{ text | attr('__class__') }}",
    "globals": "{{ range.__globals__ }}",
    "init_globals": "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "self": "{{ self.__init__.__globals__ }}",
    "include": "{% include '/etc/passwd' %}",
    "import": "{% import 'os' as os %}",
    "extends": "{% extends 'x' %}",
    "block": "{% block a %}{{ self.a() }}{% endblock %}",
    "private_filter": "{{ text | _cut }}",
    # what a text method, a format or a filter can make of little input
    "zipped_views": _DOUBLED + "{{ dict(zip(['a'], ns.x)).values() }}",
    "zipped_view_of_items": _DOUBLED + "{{ dict(zip(['a'], ns.x)).items() | string }}",
    "view_in_a_list": _DOUBLED + "{{ [dict(zip(['a'], ns.x)).values()] ~ '' }}",
    "zipped_keys": _DOUBLED + "{{ dict(zip(ns.x, [1])) | length }}",
    "zipped_sum": _DOUBLED + "{{ ns.x | first | sort | length }}",
    "search_from_the_right": "{{ ('a' * 400000).rsplit('ab' + 'a' * 200000) | length }}",
    "find_from_the_right": "{{ ('a' * 400000).rfind('ab' + 'a' * 200000) }}",
    "partition_from_the_right": "{{ ('a' * 400000).rpartition('ab' + 'a' * 200000) | length }}",
    "strip_many": "{{ ('가' * 1000000).strip('나' * 1000000 ~ '가') }}",
    "trim_many": "{{ ('가' * 1000000) | trim('나' * 1000000 ~ '가') }}",
    "trim_many_named": "{{ ('가' * 1000000) | trim(chars='나' * 1000000 ~ '가') }}",
    "expandtabs_named": "{{ '\t'.expandtabs(tabsize=10 ** 9) | length }}",
    "rsplit_named": "{{ ('a' * 400000).rsplit(sep='ab' + 'a' * 200000) | length }}",
    "join_dict_method": "{{ ('x' * 3000000).join({'a': 1, 'b': 1, 'c': 1}) | length }}",
    "join_dict_filter": "{{ dict(zip(range(20000), range(20000))) | join('x' * 100000) | length }}",
    "join_keys_filter": "{{ dict(zip(range(20000), range(20000))).keys() | join('x' * 100000) | length }}",
    "join_choices": "{{ ['a'] * 5000 | join('x' * 100000) }}",
    "format_fields": "{{ ('{0}' * 100000).format('x' * 100000) | length }}",
    "format_widths": "{{ ('{0:999}' * 500000).format('x') | length }}",
    "format_named": "{{ ('{a}' * 100000).format(a='x' * 100000) | length }}",
    "format_itself": "{{ ('{0!r:>999}' * 100000).format(text) | length }}",
    "percent_mapping": "{{ (('%(a)s' * 10000) % {'a': 'x' * 100000}) | length }}",
    "percent_filter_mapping": "{{ ('%(a)s' * 10000) | format(a='x' * 100000) | length }}",
    "percent_pieces": "{{ ('%' * 3900000) % () }}",
    "percent_key_width": "{{ '%(a)1000000000d' % {'a': 1} }}",
    "percent_key_with_percent": "{{ '%(a%b)1000000000d' % {'a%b': 1} }}",
    "percent_key_nested": "{{ '%((a))1000000000d' % {'(a)': 1} }}",
    "percent_many_zeros": "{{ ('%0999d' * 90000) % ((1,) * 90000) }}",
    "integer_of_base_16": "{% set a = ('f' * 3000000) | int(0, 16) %}{{ a // (a // 7) }}",
    "integer_of_base_32": "{{ (('f' * 1000000) | int(0, 32)) ** 2 }}",
    "integer_sum": "{% set ns = namespace(x=7) %}{% for i in range(99) %}{% set ns.x = [ns.x, ns.x] | sum %}"
    "{% set ns.x = ns.x * ns.x %}{% endfor %}{{ ns.x }}",
    "batch_named": "{{ [1] | batch(linecount=10 ** 9, fill_with=0) | list | length }}",
    "batch_mapped": "{{ ([[1]] * 50000) | map('batch', 10000, 0) | map('list') | list | length }}",
    "indent_returns": "{{ ('a\\r' * 100000) | indent(10000) | length }}",
    "indent_separators": "{{ ('a\\u2028' * 100000) | indent(width=10000) | length }}",
    "sort_letters": "{{ ('ab' * 2000000) | sort | first }}",
    "unique_letters": _FOREVER + "{{ ('ab' * 100000) | unique | list | length }}{% endfor %}",
    "list_letters": "{% set a = ('가' * 4000000) | list %}{% set b = ('나' * 4000000) | list %}{{ a | length }}",
    "map_letters": "{{ ('ab' * 1000000) | map('upper') | list | length }}",
    "title_words": _FOREVER + "{% set a = ('a b ' * 100000) | title %}{% endfor %}",
    "tojson_indent": "{% set ns = namespace(x=range(50000) | list) %}{% for i in range(500) %}"
    "{% set ns.x = zip([ns.x]) | list %}{% endfor %}{{ ns.x | tojson(16) | length }}",
    "letters_that_grow": "{{ (('ΐ' * 3000000).upper()).upper() | length }}",
    "letters_that_grow_in_a_loop": "{% set ns = namespace(x='ß' * 9) %}{% for i in range(99) %}"
    "{% set ns.x = (ns.x.upper() ~ ns.x).lower() %}{% endfor %}{{ ns.x | length }}",
    "casefold": "{{ ('ΐ' * 4000000).casefold().casefold() | length }}",
    "splitlines": _FOREVER + "{% set x = ('\\n' * 1000000).splitlines() %}{% endfor %}",
    "swapcase": _FOREVER + "{% set x = ('ab' * 1000000).swapcase() %}{% endfor %}",
    # how a call may avoid paying
    "starred_call": "{% set r = range(99999) %}" + _FOREVER + "{% set c = cycler(*r) %}{% endfor %}",
    "starred_filter": "{% set r = range(99999) %}" + _FOREVER + "{{ '' | format(*r) }}{% endfor %}",
    "starred_test": "{% set r = range(99999) %}" + _FOREVER + "{{ 1 is in(*r) }}{% endfor %}",
    "starred_cycle": "{% set r = range(99999) %}" + _FOREVER + "{{ loop.cycle(*r) }}{% endfor %}",
    "starred_macro": "{% macro m() %}{{ varargs | length }}{% endmacro %}{% set r = range(99999) %}"
    + _FOREVER
    + "{{ m(*r) }}{% endfor %}",
    "double_starred": "{% set d = dict(zip(range(50000) | map('string'), range(50000))) %}"
    + _FOREVER
    + "{% set n = dict(**d) %}{% endfor %}",
    "sort_key": "{% set l = [1000000000] %}{% set _ = l.sort(key='a'.center) %}{{ l }}",
    "count_references": "{% set y = [range(40000) | list, 1] %}{% set z = [range(40000) | list, 2] %}"
    "{% set l = [1] | batch(10000, y) | first %}{{ l.count(z) }}",
    "pop_the_first": "{% set l = range(99999) | list %}{% for i in range(30000) %}{% set _ = l.pop(0) %}{% endfor %}",
    "insert_the_first": "{% set l = range(99999) | list %}"
    + _FOREVER
    + "{% set _ = l.insert(0, 1) %}{% endfor %}",
    "colliding_keys": "{% set d = {} %}{% for i in range(38000) %}"
    "{% set _ = d.setdefault(i * 2305843009213693951, 0) %}{% endfor %}{{ d | length }}",
    "colliding_unique": "{% set l = [] %}{% for i in range(30000) %}"
    "{% set _ = l.append(i * 2305843009213693951) %}{% endfor %}{{ l | unique | list | length }}",
    "colliding_most_frequent": "{% set l = [] %}{% for i in range(20000) %}"
    "{% set _ = l.append(i * 2305843009213693951) %}{% endfor %}{{ l | most_frequent | length }}",
    "long_products": "{% set a = 2 ** 8000 + 1 %}" + _FOREVER + "{% set _ = a * a %}" * 200 + "{% endfor %}",
    "long_divisions": "{% set a = 3 ** 5000 %}{% set b = 3 ** 2500 %}"
    + _FOREVER
    + "{% set _ = a // b %}" * 200
    + "{% endfor %}",
    "long_remainders": "{% set a = 3 ** 9000 %}{% set b = 3 ** 4500 %}"
    + _FOREVER
    + "{% set _ = a % b %}" * 200
    + "{% endfor %}",
    "set_difference": "{% set d = {'a': 1} %}{% set r = range(99999) %}"
    + _FOREVER
    + "{% set _ = d.keys() - r %}{% endfor %}",
    "bytes_product": "{{ (blob * 10 ** 10) | length }}",
    "bytes_percent": "{{ (blob % 1) | length }}",
    "many_undefined": _FOREVER + "{{ text.a }}" * 800 + "{% endfor %}",
    "many_namespaces": _FOREVER + "{% set n = namespace(a=1) %}" * 400 + "{% endfor %}",
    "many_empty_loops": _FOREVER + "{% for b in [] %}{{ loop.index }}{% endfor %}" * 300 + "{% endfor %}",
    "many_formats": _FOREVER + "{% set _ = '{0}'.format(1) %}" * 300 + "{% endfor %}",
    "many_tests": _FOREVER + "{% set _ = a is divisibleby 3 %}" * 300 + "{% endfor %}",
    "many_json": _FOREVER + "{% set _ = items | tojson(2) %}" * 300 + "{% endfor %}",
    "filter_block": _FOREVER + "{% filter upper %}{{ text * 100 }}{% endfilter %}{% endfor %}",
    "call_block": "{% macro m() %}{{ caller() }}{{ caller() }}{% endmacro %}"
    "{% call m() %}{% call m() %}{% call m() %}{{ 'x' * 3000000 }}{% endcall %}{% endcall %}{% endcall %}",
    "macro_default": "{% macro m(a=range(99999) | list) %}{% endmacro %}"
    + _FOREVER
    + "{{ m() }}{% endfor %}",
    "mutual_macros": "{% macro f(n) %}{{ g(n) }}{% endmacro %}{% macro g(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}",
    "joiner": "{% set j = joiner('x' * 3000000) %}" + _FOREVER + "{{ j() }}{% endfor %}",
    "chained_compare": _FOREVER + "{{ (text * 5000) == (text * 5000) == (text * 5000) }}{% endfor %}",
    "slices_of_ranges": _FOREVER + "{% set x = range(99999)[::2] | list %}{% endfor %}",
    "dict_updates": "{% set d = dict(zip(range(50000), range(50000))) %}"
    + _FOREVER
    + "{% set _ = d.copy() %}{% endfor %}",
    "map_of_maps": "{{ range(99999) | map('string') | map('center', 9999) | map('upper') | list | length }}",
    "select_in": "{% set r = range(99999) %}{{ r | select('in', r | map('string') | list) | list }}",
    "groups_of_keys": "{{ range(99999) | map('string') | sort | unique | list | last }}" * 40,
    # what reading and compiling a template may cost
    "long_integer": "{{ " + "9" * 5000 + " }}",
    "long_hexadecimal": "{{ 0x" + "f" * 50000 + " }}",
    "long_underscores": "{{ " + "1_" * 30000 + "1 }}",
    "infinite": "{{ 1e999 }}",
    "many_elifs": "{% if text == 1 %}" + "{% elif text %}" * 4000 + "{% endif %}",
    "many_ifs_and_names": "".join("{%% if text %%}{%% set a%d = 1 %%}{%% endif %%}" % i for i in range(1500)),
    "many_compares": "{{ " + "<".join(["1"] * 20000) + " }}",
    "many_joined": "{{ " + "~".join(["text"] * 10000) + " }}",
    "many_arguments": "{{ cycler(" + ",".join(["1"] * 20000) + ") and 1 }}",
    "many_macros": "".join("{%% macro a%d() %%}{%% endmacro %%}" % i for i in range(1800)),
    "many_loops": "{% for a in text %}{% endfor %}" * 1800,
    "many_literals": "{{ {" + ",".join(f"{i}:{i}" for i in range(5000)) + "} | length }}",
    "backslashes": "{{ '" + "\\" * 60000,
    "openings": "{{" * 30000,
    "statement_openings": "{%" * 30000,
    "raw_openings": "{% raw %}" * 6000,
    "comment_openings": "{#" * 30000,
    "blanks": "{{ a " + " " * 60000,
    "stripped_blanks": ("   \n" * 10 + "{%- if text -%}") * 90,
    "null_characters": "{{ '" + "\0" * 1000 + "' }}",
    "surrogates": "{{ '\\ud800' }}",
    "deep_lists": "{{ " + "[" * 2000 + "]" * 2000 + " }}",
    "deep_dicts": "{{ " + "{1:" * 2000 + "1" + "}" * 2000 + " }}",
    "deep_loops": "{% for a in text %}" * 90 + "{% endfor %}" * 90,
    "deep_macros": "{% macro m() %}" * 90 + "{% endmacro %}" * 90,
    "deep_filters": "{% filter upper %}" * 90 + "x" + "{% endfilter %}" * 90,
    # ways out
    "autoescape": "{% autoescape true %}{% set m %}a{% endset %}{{ m.center(10 ** 9) }}{% endautoescape %}",
    "autoescape_format": "{% macro q() %}{% endmacro %}{% autoescape true %}"
    "{% set m %}{0.__class__.__mro__}{% endset %}{{ m.format(q) }}{% endautoescape %}",
    "format_by_item": "{{ '{0.__class__}'['format'](1) }}",
    "format_by_map": "{{ (['{0.__class__}'] | map(attribute='format') | first)(1) }}",
    "format_map_by_map": "{{ (['{a.__class__}'] | map(attribute='format_map') | first)({'a': 1}) }}",
    "class_by_item": "{{ text['__cla' ~ 'ss__'] }}",
    "class_by_map": "{{ [text] | map(attribute='__class__') | list }}",
    "class_by_sort": "{{ [1, 2] | sort(attribute='__class__.__name__') }}",
    "class_by_sum": "{{ [text] | sum(attribute='__class__') }}",
    "generator_frame": "{{ (items | map('upper')).gi_frame.f_globals }}",
    "loop_internals": "{% for a in items %}{{ loop._iterable }}{{ loop.__init__.__globals__ }}{% endfor %}",
    "macro_internals": "{% macro m() %}{% endmacro %}{{ m._func.__globals__ }}{{ m._environment }}",
    "caller_internals": "{% macro m() %}{{ caller.__call__.__globals__ }}{% endmacro %}{% call m() %}{% endcall %}",
    "undefined_internals": "{{ nothing._undefined_exception.__init__ }}",
    "namespace_internals": "{{ namespace.__init__.__globals__ }}",
    "joiner_internals": "{{ joiner('a').__class__.__init__.__globals__ }}",
    "dict_fromkeys": "{{ dict.fromkeys(range(99999), 1) | length }}",
    "dict_mro": "{{ dict.mro() }}",
    "str_mod": "{{ '%r' % dict.fromkeys }}",
    "keep": "{{ keep('x') }}",
    "private_test": "{{ text is _tick }}",
    "do": "{% do items.append('x') %}",
    "debug": "{% debug %}",
    "trans": "{% trans %}x{% endtrans %}",
    # addresses of objects are not texts
    "address_of_cycler": "{{ cycler(1) | upper }}",
    "address_of_method": "{{ text.upper | lower }}",
    "address_by_percent": "{{ '%s' % cycler(1) }}",
    "address_by_format": "{{ '{}'.format(cycler(1)) }}",
    "address_by_format_filter": "{{ '%s' | format(cycler(1)) }}",
    "address_by_replace": "{{ 'a' | replace('a', cycler(1)) }}",
    "address_by_join": "{{ [1, 2] | join(cycler(1)) }}",
    "address_of_generator": "{{ items | map('upper') | lower }}",
    "address_by_concat": "{{ 'a' ~ joiner() }}",
    "address_in_dict": "{{ dict(a=text.upper) }}",
    "address_in_json": "{{ [joiner()] | tojson }}",
    "address_by_center": "{{ range | center(9) }}",
    "order_of_a_set": "{{ ({'a': 1, 'b': 2, 'c': 3}.keys() - []) | join }}",
    "order_of_items": "{{ ({'a': 1, 'b': 2, 'c': 3}.items() - []) | list }}",
    # rows are not to be changed for the next template
    "mutation_by_item": "{% set _ = items['app' ~ text[0:0] ~ 'end']('c') %}{{ items }}",
    "mutation_by_map": "{{ ([items] | map(attribute='pop') | first)() }}",
}
"""A name for each payload and the text of the template's prompt; the target is always the same."""

EXPRESSIONS = {
    "not_a_list": "text",
    "list_of_numbers": "[1, 2]",
    "list_of_none": "[none]",
    "a_generator": "items | map('upper')",
    "a_dict": "{'a': 1}",
    "closing": "items) %}{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}{% set x = (1",
    "never_kept": "items) if false else (1",
    "kept_twice": "items) ~ keep(items",
    "comment": "items #}",
    "huge": "['a' * 10 ** 10]",
    "many": "range(99999) | map('string') | map('center', 999) | list",
    "recursion": "keep(keep)",
    "empty": "",
    "unclosed": "[",
    "undefined": "nothing",
    "negative": "items[-5]",
    "starred": "cycler(*range(99999)) and items",
}
"""Expressions for answer_choices of the strict dialect."""


def main() -> None:
    """Render the payloads named on the command line."""
    path, dialect, place, *names = sys.argv[1:]
    render = renderer(path)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    for name in names:
        print(json.dumps({"starts": name}), flush=True)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        outcome = render(dialect, place, name)
        signal.setitimer(signal.ITIMER_PROF, 0)
        print(json.dumps({"name": name, "outcome": outcome}), flush=True)


def renderer(path):
    """Return the function that renders one payload and says how it ends."""
    from instructify.errors import InstructifyError, RowError

    make = {"reference": by_reference, "compiled": by_batch}[path]

    def render(dialect, place, name):
        try:
            return make(template_of(dialect, place, name))
        except RowError as error:
            return ["row", error.reason, error.detail]
        except InstructifyError as error:
            return ["refused", *map(str, error.problems)]

    return render


def template_of(dialect, place, name):
    """Return the template that carries a payload in one of its places."""
    from instructify.templates import Template

    fields = {"dataset": "d", "name": name, "dialect": dialect, "body": "{{ text }} ||| yes"}
    if place == "body":
        fields["body"] = PAYLOADS[name] + " ||| yes"
    elif place == "rationale":
        fields["rationale"] = PAYLOADS[name]
    elif place == "expression":
        fields["choices"] = EXPRESSIONS[name]
    elif dialect == "strict":
        fields["choices"] = (PAYLOADS[name], "yes")
    else:
        fields["choices"] = PAYLOADS[name] + "|||yes"
    return Template(**fields)


def by_reference(template):
    """Render one row by the reference."""
    from instructify.keys import Key
    from instructify.render.reference import ReferenceTemplate

    made = ReferenceTemplate(template).render(ROW, Key.of("hostile"), 0)
    return ["rendered", *made.parts, *(made.choices or ()), made.rationale or ""]


def by_batch(template):
    """Render a batch of one row by the compiled path."""
    import pyarrow as pa

    from instructify.keys import Key
    from instructify.render.compiled import BatchTemplate

    made = BatchTemplate(template).render(rows_of(pa.Table.from_pylist([ROW])), Key.of("hostile"))
    if made.dropped:
        return ["row", *made.dropped, ""]
    return ["rendered", *made.inputs.to_pylist(), *made.targets.to_pylist()]


def rows_of(table):
    """Return a table as the rows of a batch, numbered from 0."""
    import numpy as np

    from instructify.render.compiled import Rows

    return Rows(table, np.arange(table.num_rows))


if __name__ == "__main__":
    main()
