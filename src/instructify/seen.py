"""What known base models were trained on, so that no score is called zero-shot where the base saw the task.

Supervised training only: whether a test text lies in C4 or another pretraining crawl is not known here. A
dataset counts as seen whichever of its splits, columns or tasks was used, and under whichever name. Datasets
are matched by name: a copy under a name of one's own is not recognised.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

Status = Literal["seen", "text", "unseen", "unknown"]


@dataclass(frozen=True, slots=True)
class Seen:
    """What a base model knows of a dataset.

    `status` is seen (it was trained on the dataset's tasks), text (it read the texts, without prompts or
    labels), unseen (its training is known and does not name the dataset) or unknown (its training is not
    known here). `word` is what a score without further training may be called, `note` one sentence, and
    `sources` say where it is written.
    """

    status: Status
    word: Literal["retention", "zero-shot", "unproven"]
    note: str
    sources: tuple[str, ...] = ()


def seen_by(model: str, dataset: str, subset: str | None = None) -> Seen:
    """Return what the model of that name (on the hub, or of a folder) saw of a dataset.

    >>> seen_by("google/flan-t5-small", "super_glue", "rte").word
    'retention'
    >>> seen_by("google/t5-small-lm-adapt", "super_glue", "rte").word
    'zero-shot'
    """
    base, is_itself = _base(model)
    if base is None:
        note = f"what {model} was trained on is not known here, so nothing shows that this is zero-shot"
        return Seen("unknown", "unproven", note)
    names = set(_names(dataset, subset))
    named = [TRAINING[key] for key in base.training if names & TRAINING[key].datasets]
    if named:
        titles = " and ".join(training.title for training in named)
        note = f"{model} was trained on it ({titles}): retention, not zero-shot"
        return Seen("seen", "retention", note, tuple(training.source for training in named))
    if not is_itself:
        note = f"{model} is named after a base that is known, but may have been trained further"
        return Seen("unknown", "unproven", note)
    if base.texts and any(fnmatchcase(name, base.texts) for name in names):
        note = f"{model} has read texts of this kind as prose, which may tell the answer, not its prompts"
        return Seen("text", "zero-shot", note, (base.source,))
    sources = tuple(TRAINING[key].source for key in base.training) or (base.source,)
    note = f"the training data of {model} does not name it"
    return Seen("unseen", "zero-shot", note, sources)


@dataclass(frozen=True, slots=True)
class Training:
    """Supervised training data: the datasets it was made from, by the names of `_names`, and who says so."""

    title: str
    datasets: frozenset[str]
    source: str


@dataclass(frozen=True, slots=True)
class Base:
    """Base models by glob patterns of their names, what they were trained on, and who says so.

    `texts` is a glob pattern of datasets whose texts were pretraining text.
    """

    patterns: tuple[str, ...]
    training: tuple[str, ...]
    source: str
    texts: str = ""


def _base(model: str) -> tuple[Base | None, bool]:
    """Return the base that a model's name points to, and whether it is that model and no descendant of it.

    Only the full name says so, and no word for further training may be in it.
    """
    name = model.lower().rstrip("/")
    tail = name.rpartition("/")[2]
    for base in BASES:
        for pattern in base.patterns:
            if fnmatchcase(name, pattern):
                return base, not any(word in tail for word in ("finetun", "fine-tun", "sft", "lora"))
            if fnmatchcase(tail, pattern.rpartition("/")[2]):
                return base, False
    return None, False


def _names(dataset: str, subset: str | None) -> Iterator[str]:
    """Yield every name a dataset goes by: with and without subset and owner, and what those stand for."""
    whole = dataset.lower().replace("-", "_")
    part = f"/{subset.lower().replace('-', '_')}" if subset else ""
    for name in (whole, whole.partition("/")[2]):
        for form in (name + part, name) if name else ():
            yield form
            yield from _STANDS_FOR.get(form, ())


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_FLAN = (
    "https://github.com/google-research/FLAN/blob/36a9304a48793eaeb67c0407a1b751141ffbb29b/flan/v2/"
    "flan_collection_info.csv"
)
_T_ZERO = "https://github.com/bigscience-workshop/t-zero/blob/089211063a1ed39d2ca859adb6d4858d312c6e1e/t0/datasets.csv"
_T0 = """
    mrpc qqp paws hotpotqa wiki_qa adversarial_qa duorc ropes quoref commonsense_qa cosmos_qa dream qasc quail
    quarel quartz sciq social_i_qa wiki_hop wiqa amazon_polarity app_reviews imdb rotten_tomatoes
    yelp_review_full common_gen wiki_bio cnn_dailymail gigaword multi_news samsum xsum ag_news dbpedia_14 trec
"""
_T0P = f"{_T0} arc trivia_qa web_questions squad openbookqa race piqa hellaswag"

TRAINING: Mapping[str, Training] = {
    "flan2021": Training(
        "FLAN 2021",
        _words("""
            aeslc ag_news anli arc boolq cb cnn_dailymail cola common_gen copa coqa cosmos_qa dart
            definite_pronoun_resolution drop e2e_nlg fix_punct gigaword mrpc qqp hellaswag imdb lambada
            math_dataset mnli multi_news multirc natural_questions newsroom openbookqa
            opinion_abstracts_idebate opinion_abstracts_rotten_tomatoes para_crawl paws piqa qnli quac
            record rte samsum sentiment140 snli squad sst2 story_cloze stsb trec trivia_qa true_case
            unified_qa_science_inst web_nlg wic wiki_lingua winogrande wmt14 wmt16 wnli word_segment wsc
            xsum yelp_polarity
        """),
        f"{_FLAN}, rows FLAN and FLAN/T0; "
        "https://github.com/google-research/FLAN/blob/3770e8379f1766eab4e2875ea1a829a074389b59/flan/task_splits.py",
    ),
    "flan_t0": Training(
        "T0's tasks in the Flan Collection",
        _words("""
            adversarial_qa amazon_polarity app_reviews commonsense_qa dbpedia_14 dream duorc hotpotqa qasc
            quail quarel quartz quoref race ropes sciq social_i_qa web_questions wiki_bio wiki_hop wiki_qa
            wiqa
        """),
        f"{_FLAN}, rows T0",
    ),
    "flan_cot": Training(
        "chains of thought in the Flan Collection",
        _words("gsm8k strategyqa aqua_rat creak commonsense_qa snli qasc qed sensemaking"),
        f"{_FLAN}, rows CoT",
    ),
    "flan_dialog": Training(
        "dialogues and programs in the Flan Collection",
        _words("qrecc task_master wiki_dialog dmcc dr_repair"),
        f"{_FLAN}, rows Dialog and Program Synthesis",
    ),
    "niv2": Training(
        "Super-NaturalInstructions in the Flan Collection",
        _words("""
            abductive_nli ade_corpus_v2 adversarial_qa afs ag_news ai2_arithmetic_questions air_dialogue
            ajgt_twitter_ar allegro_reviews allocine amazon_and_yelp_summarization_dataset
            amazon_fine_food_reviews amazon_polarity amazon_us_reviews ambigqa ancora_ca_ner anem anli
            app_reviews aqua_rat aquamuse arc argkp asian_language_treebank asset atomic babi bard
            bc2gm_corpus bengali_hate_speech_dataset bengali_restaurant_reviews bianet big_bench billsum
            biocreative_v bless blimp boolq break broad_twitter_corpus brown_corpus cad cail2018 casehold
            casino catalonia_independence_corpus cb ccaligned_multilingual cdt cedr cfq_mcd1 chemprot_corpus
            circa civil_comments clariq clickbait_news_bg cls cmrc2018 cnn_dailymail coached_conv_pref cod3s
            coda_19 codah codexglue cola com_qa com2sense common_gen commonsense_qa conala conll2002 conllpp
            conv_ai_2 copa copa_hr coqa cosmos_qa craigslist_bargains creak crows_pairs cuad
            curiosity_dialogs dailydialog dais dart dbpedia_14 ddo deal_or_no_dialog
            deceptive_opinion_spam_dataset defeasible_nli_atomic detoxifying_lms dialogre
            diplomacy_detection discofuse disfl_qa doqa dream drop dstc3 dualrl duorc snli e2e_nlg
            emea_fr_sk emo emotion eng_guj_parallel_corpus eqasc equity_evaluation_corpus essential ethos
            eurlex europa_ecdc_tm europarl evalution event2mind facts2story farstail financial_phrasebank
            flores freebase_qa gap generated_reviews_enth giga_fren gigaword glucose go_emotions gooaq
            google_wellformed_query grailqa gwsd hans haspart_kb hate_speech_offensive hateeval hatexplain
            head_qa health_fact hellaswag hind_encorp hindienglish_corpora hippocorpus hope_edi hotpotqa
            hybridqa iirc imdb imppres indian_food_101 indicnlp inquisitive jeopardy jfleg jigsaw
            jnlpba_corpus kde4 leetcode liar librispeech_asr limit linnaeus_corpus lj_speech logic2text
            math_qa math_dataset matres mcscript mctaco md_gender_bias medical_question_pair_dataset
            menyo20k_mt meta_woz miam mkb mocha movie_rationales mrpc mrqa ms_marco msr_sqa
            msr_text_compression multi_news multi_woz_v22 multilingual_amazon_reviews multilingual_ted mnli
            multirc mutual mwsc narrativeqa natural_questions ncbi_disease_corpus news_commentary
            news_editorials news_headlines_dataset_for_sarcasm_detection nlg_bias asdiv mawps
            numeric_fused_head numersense nyc odd_man_out offenseval_dravidian ohsumed olid ollie open_pi
            openbookqa opensubtitles opp_115 opus_100 opus_books opus_paracrawl opus_ted_talks
            opus_xhosanavy overruling paper_reviews_data_set para_nmt para_pat parsinlu paws paws_x pec
            peer_read penn_treebank persent persianqa personachat perspectrum pib pico piqa poem_sentiment
            points_of_correspondence poki poleval2019_mt prachathai67k prepositional_paraphrasing propara
            prost proto_qa pubmed_qa qa_srl qa_zre qanta qasc qasper qed qed_amara qqp quail quarel quartz
            quoref race recipe_nlg record reddit_tifu_dataset refresd ro_sts_parallel rocstories root09
            ropes rotten_tomatoes rte rtgender ruletaker samsum sarcasm_in_twitter sbic scan
            schema_guided_dstc8 scifact sciq scitail scitldr scruples semantic_parser_localizer
            semeval_2018_task1 semeval_2018_task3 semeval_2019_task_10 semeval_2020_task_7 sensemaking
            sentence_compression senteval sentiment140 sherliic sick smcalflow sms_spam social_i_qa splash
            spolin sqac squad sst2 starcon stereoset story_cloze storycommonsense strategyqa stsb subjqa
            svamp swag tecla tellmewhy timetravel tom_qa torque trec trianglecopa trivia_qa turk tweetqa
            universal_dependencies viquiquad web_nlg web_questions wiki_auto wiki_hop wiki_movies wiki_qa
            wikitext wino_bias winograd_wsc winogrande winomt winowhy wiqa wordnet wsc x_csr xcopa xl_wic
            xlsum xquad xsum yahoo_answers_topics yelp_polarity yelp_restaurant_review yelp_review_full
            yoruba_bbc_topics youtube_caption_corrections zest
        """),
        f"{_FLAN}, rows NIv2",
    ),
    "t0": Training("T0", _words(_T0), f"{_T_ZERO}, do_train BASE"),
    "t0p": Training(
        "T0p",
        _words(_T0P),
        f"{_T_ZERO}, do_train BASE, GPT_EVAL",
    ),
    "t0pp": Training(
        "T0pp",
        _words(f"{_T0P} wsc record boolq copa multirc wic"),
        f"{_T_ZERO}, do_train BASE, GPT_EVAL, SGLUE",
    ),
    "xp3": Training(
        "xP3",
        _words(f"""
            {_T0} arc trivia_qa web_questions squad record openbookqa race boolq multirc piqa wiki_lingua
            tatoeba_mt xquad mlqa paws_x tydiqa mbpp neural_code_search codecomplex apps xlcost_text_to_code
            code_contests clue wic xl_wic bisect xlsum flores wmt
        """),
        "https://github.com/bigscience-workshop/bigscience/blob/0ac77d1ba7f9b66af7c926e8af660894250fbf89/data/xp3/"
        "prepare_xp3_train.py, TRAIN_DATASETS",
    ),
    "t5": Training(
        "T5's supervised mixture",
        _words("""
            cola sst2 mrpc stsb qqp mnli qnli rte wnli cb copa wic multirc record boolq wsc squad
            cnn_dailymail wmt14 wmt15 wmt16 definite_pronoun_resolution
        """),
        "arXiv:1910.10683, sections 2.3 and 3.7; https://huggingface.co/google-t5/t5-base/blob/"
        "086bcbae124ebf36e53ef3305df7e2c6352d487c/README.md",
    ),
}
"""Supervised training data of known models."""

BASES: tuple[Base, ...] = (
    Base(
        ("google/flan-t5-*",),
        ("flan2021", "flan_t0", "flan_cot", "flan_dialog", "niv2"),
        f"arXiv:2210.11416, appendix F; {_FLAN}",
    ),
    Base(
        ("bigscience/mt0-*-p3", "bigscience/bloomz-p3", "bigscience/bloomz-*-p3"),
        ("t0",),
        "https://github.com/bigscience-workshop/xmtf/blob/0bf2dc741a39959be56ba6a966574b2e73f6e0ea/README.md",
    ),
    Base(("bigscience/t0pp",), ("t0pp",), "arXiv:2110.08207, section 5"),
    Base(("bigscience/t0p",), ("t0p",), "arXiv:2110.08207, section 5"),
    Base(
        tuple(f"bigscience/t0{kind}" for kind in ("", "_3b", "_single_prompt", "_original_task_only")),
        ("t0",),
        "arXiv:2110.08207, section 5",
    ),
    Base(("bigscience/mt0-*", "bigscience/bloomz*"), ("xp3",), "arXiv:2211.01786, section 3"),
    Base(
        ("google/t5-v1_1-*", "google/t5-*-lm-adapt"),
        (),
        "https://github.com/google-research/text-to-text-transfer-transformer/blob/"
        "368700f38a80e9f50b85912a28ddf1398f1156ca/released_checkpoints.md",
    ),
    Base(("google/mt5-*",), (), "arXiv:2010.11934, section 3.2"),
    Base(
        tuple(f"google-t5/t5-{size}" for size in ("small", "base", "large", "3b", "11b")),
        ("t5",),
        "arXiv:1910.10683, section 3.7",
    ),
    Base(("tiny",), (), "instructify.world.prose", texts="world/*"),
)
"""Known base models, the first match wins."""

_ALIASES: Mapping[str, str] = {
    "adversarial_qa": "adverserial_qa",
    "ag_news": "ag_news_subset",
    "anli": "anli_r1 anli_r2 anli_r3",
    "aqua_rat": "aqua flan_cot/aqua",
    "arc": "ai2_arc arc_easy arc_challenge",
    "boolq": "bool_q super_glue/boolq",
    "cb": "super_glue/cb",
    "code_contests": "deepmind/code_contests",
    "cola": "glue/cola",
    "common_gen": "commongen",
    "commonsense_qa": "commonsenseqa cos_e ecqa flan_cot/ecqa",
    "copa": "super_glue/copa",
    "cosmos_qa": "cosmosqa",
    "creak": "creak_2018 flan_cot/creak",
    "dailydialog": "daily_dialog",
    "e2e_nlg": "e2e e2e_nlg_cleaned",
    "gsm8k": "flan_cot/gsm8k",
    "hateeval": "tweet_eval/hate",
    "hotpotqa": "hotpot_qa kilt_tasks/hotpotqa",
    "imdb": "imdb_reviews",
    "lambada": "openai_lambada",
    "math_qa": "mathqa",
    "mnli": "glue/mnli glue/mnli_matched glue/mnli_mismatched multi_nli multinli",
    "mrpc": "glue/mrpc",
    "multirc": "super_glue/multirc",
    "natural_questions": "nq_open",
    "olid": "tweet_eval/offensive",
    "para_crawl": "opus_paracrawl",
    "paws": "paws_wiki",
    "qasc": "flan_cot/qasc",
    "qnli": "glue/qnli",
    "qqp": "glue/qqp",
    "record": "super_glue/record",
    "rotten_tomatoes": "rotten_tomatoe",
    "rte": "glue/rte super_glue/rte",
    "semeval_2018_task1": "tweet_eval/emotion",
    "semeval_2018_task3": "tweet_eval/irony",
    "sensemaking": "semeval_2020_task4 flan_cot/sensemaking",
    "snli": "e_snli esnli flan_cot/esnli",
    "social_i_qa": "social_iqa siqa",
    "squad": "squad_v1 squad_v2",
    "sst2": "glue/sst2",
    "story_cloze": "storycloze roc_stories",
    "strategyqa": "strategy_qa flan_cot/strategyqa",
    "stsb": "glue/stsb",
    "trivia_qa": "triviaqa",
    "wic": "super_glue/wic",
    "winogrande": "winogrande_xl",
    "wnli": "glue/wnli",
    "wsc": "super_glue/wsc super_glue/wsc.fixed",
    "yelp_polarity": "yelp_polarity_reviews",
}
"""Name in TRAINING -> other names of the same rows, as `_names` spells them.

CoS-E and ECQA annotate CommonsenseQA's questions and e-SNLI annotates SNLI's; TweetEval's tasks are those of
SemEval (arXiv:2010.12421, section 2).
"""

_STANDS_FOR: Mapping[str, tuple[str, ...]] = {
    alias: tuple(name for name, aliases in _ALIASES.items() if alias in aliases.split())
    for text in _ALIASES.values()
    for alias in text.split()
}
